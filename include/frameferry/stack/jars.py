"""
The jars of the Kafka broker, resolved once into the cache.

The Ivy that pyspark ships does it: no Maven is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from frameferry.errors import StackError
from frameferry.stack import layout
from frameferry.stack.java import find_java

_HERE = Path(__file__).parent
_TIMEOUT_SECONDS = 900
_SET = "kafka"
_PREPARE = f"`{layout.python()} -m frameferry.stack.prepare`"


def jars() -> Path:
    """
    Return the folder of the broker's jars.

    Raises:
        StackError: They were not resolved yet.
    """
    folder = _folder() / _SET
    if not folder.is_dir():
        msg = f"the Kafka jars are not in the cache {layout.cache()}"
        raise StackError(msg, remedy=f"Run {_PREPARE}")
    return folder


def are_there() -> bool:
    """Say whether the jars are in the cache."""
    return _folder().is_dir()


def resolve() -> Path:
    """
    Download what is missing; return at once if nothing is.

    A folder gets its final name only when it is whole. So an interrupted download leaves none, and
    two at once do no harm.

    Raises:
        StackError: Maven Central did not answer, or Java is missing.
    """
    target = _folder()
    if are_there():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".jars-") as work:
        draft = Path(work) / "jars"
        _retrieve(Path(work), draft)
        _publish(draft, target)
    return target


def _folder() -> Path:
    """Name the folder by what it is made from: other pins, another folder."""
    recipe = b"".join((_HERE / name).read_bytes() for name in ("ivy.xml", "ivysettings.xml"))
    return layout.cache() / f"jars-{hashlib.sha256(recipe).hexdigest()[:12]}"


def _retrieve(work: Path, draft: Path) -> None:
    argv = [
        str(find_java()),
        f"-Dframeferry.ivy.cache={work / 'ivy'}",
        "-jar",
        str(next((layout.pyspark() / "jars").glob("ivy-*.jar"))),
        "-settings",
        str(_HERE / "ivysettings.xml"),
        "-ivy",
        str(_HERE / "ivy.xml"),
        "-confs",
        _SET,
        "-retrieve",
        str(draft / "[conf]" / "[artifact]-[revision].[ext]"),
        "-warn",
    ]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False, cwd=work
        )
    except subprocess.TimeoutExpired as error:
        msg = f"the jars were not downloaded within {_TIMEOUT_SECONDS} s"
        raise StackError(msg, remedy=f"Check the network and run {_PREPARE} again") from error
    if done.returncode != 0 or not (draft / _SET).is_dir():
        end = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        msg = "the jars cannot be downloaded from Maven Central"
        raise StackError(
            msg, remedy=f"Check the network and run {_PREPARE} again. Ivy said:\n{end}"
        )


def _publish(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        # Another setup was faster; what it made is the same.
        if not target.is_dir():
            raise
        shutil.rmtree(draft, ignore_errors=True)
