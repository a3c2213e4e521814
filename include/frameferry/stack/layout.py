"""Where things of the installed project and of this machine are."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
"""The project's folder, which holds dags/ and plugins/ beside include/."""


def cache() -> Path:
    """What homes share, and can be remade: `FRAMEFERRY_CACHE`, default `.cache` in the project."""
    return Path(os.environ.get("FRAMEFERRY_CACHE") or REPOSITORY / ".cache").absolute()


def python() -> str:
    """The interpreter that runs us: servers, tasks and Spark's workers get the same one."""
    return sys.executable


def program(name: str) -> str:
    """A program that the project's requirements brought, such as `airflow`."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def pyspark() -> Path:
    """The folder of the installed pyspark, which is a whole Spark; not imported here."""
    return Path(sysconfig.get_path("purelib")) / "pyspark"
