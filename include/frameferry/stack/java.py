"""
The Java that runs Kafka and Spark: 17 or 21.

Standard library only: `python -m frameferry.stack.java` asks for it before anything is installed.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from frameferry.errors import StackError

SUPPORTED = (17, 21)
_INSTALLED = Path("/usr/lib/jvm")
_TIMEOUT_SECONDS = 30


@functools.cache
def find_java() -> Path:
    """
    Find a Java that runs both servers: in JAVA_HOME, on the PATH, or where Debian puts them.

    Raises:
        StackError: There is none, or only ones of other versions.
    """
    others = []
    for candidate in _candidates():
        version = _version(candidate)
        if version in SUPPORTED:
            return candidate
        others.append(f"{candidate} is Java {version or 'of an unknown version'}")
    msg = "; ".join(others) or "Java is not installed"
    remedy = "Install Java 17 or 21 (on Debian or Ubuntu: apt-get install openjdk-17-jre-headless)"
    raise StackError(msg, remedy=remedy)


def main() -> int:
    """Say where Java is, or in one line what to install."""
    try:
        sys.stdout.write(f"{find_java()}\n")
    except StackError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    return 0


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home and (found := shutil.which("java", path=f"{home}/bin")):
        yield Path(found)
    if found := shutil.which("java"):
        yield Path(found)
    for version in SUPPORTED:
        yield from sorted(_INSTALLED.glob(f"java-{version}-*/bin/java"))


def _version(java: Path) -> int | None:
    try:
        said = subprocess.run(
            [java, "-version"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else None


if __name__ == "__main__":
    sys.exit(main())
