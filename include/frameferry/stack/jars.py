"""
The jars of the Kafka broker, or of another recipe, resolved once into the cache.

The Ivy that pyspark ships does it: no Maven is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from frameferry.errors import StackError
from frameferry.stack import layout
from frameferry.stack.java import find_java

_HERE = Path(__file__).parent
_SETTINGS = _HERE / "ivysettings.xml"
_TIMEOUT_SECONDS = 900
_PREPARE = f"`{layout.python()} -m frameferry.stack.prepare`"


class Recipe(NamedTuple):
    """An Ivy file, and which of its configurations is wanted."""

    ivy: Path
    name: str


BROKER = Recipe(_HERE / "ivy.xml", "kafka")


def jars(recipe: Recipe | None = None) -> Path:
    """
    Return the folder of a recipe's jars, by default the broker's.

    Raises:
        StackError: They were not resolved yet.
    """
    recipe = recipe or BROKER
    folder = _folder(recipe) / recipe.name
    if not folder.is_dir():
        msg = f"the {recipe.name} jars are not in the cache {layout.cache()}"
        raise StackError(msg, remedy=f"Run {_PREPARE}")
    return folder


def are_there() -> bool:
    """Say whether the broker's jars are in the cache."""
    return _folder(BROKER).is_dir()


def resolve(recipe: Recipe | None = None) -> Path:
    """
    Download what is missing; return at once if nothing is.

    A folder gets its final name only when it is whole. So an interrupted download leaves none, and
    two at once do no harm.

    Raises:
        StackError: Maven Central did not answer, or Java is missing.
    """
    recipe = recipe or BROKER
    target = _folder(recipe)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".jars-") as work:
        draft = Path(work) / "jars"
        _retrieve(recipe, Path(work), draft)
        _publish(draft, target)
    return target


def _folder(recipe: Recipe) -> Path:
    """Name the folder by what it is made from: other pins, another folder."""
    content = b"".join(file.read_bytes() for file in (recipe.ivy, _SETTINGS))
    return layout.cache() / f"jars-{hashlib.sha256(content).hexdigest()[:12]}"


def _retrieve(recipe: Recipe, work: Path, draft: Path) -> None:
    argv = [
        str(find_java()),
        f"-Dframeferry.ivy.cache={work / 'ivy'}",
        "-jar",
        str(next((layout.pyspark() / "jars").glob("ivy-*.jar"))),
        "-settings",
        str(_SETTINGS),
        "-ivy",
        str(recipe.ivy),
        "-confs",
        recipe.name,
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
    if done.returncode != 0 or not (draft / recipe.name).is_dir():
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
