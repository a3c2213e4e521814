"""The Java that runs Kafka and Spark: 17 or 21, from JAVA_HOME or the PATH."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from frameferry.errors import StackError

SUPPORTED = (17, 21)
_TIMEOUT_SECONDS = 30


@functools.cache
def find_java() -> Path:
    """
    Find a Java that runs both servers.

    Raises:
        StackError: There is none, or it is of another version.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        msg = f"no java in {home}/bin (JAVA_HOME)" if home else "Java is not installed"
        raise StackError(msg, remedy="Install Java 17 or 21, such as openjdk-17-jre-headless")
    version = _version(found)
    if version not in SUPPORTED:
        msg = f"{found} is Java {version or 'of an unknown version'}"
        raise StackError(msg, remedy="Install Java 17 or 21, and name it in JAVA_HOME")
    return Path(found)


def _version(java: str) -> int | None:
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
