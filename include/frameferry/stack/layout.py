"""Find the places of the installed project and of this machine."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from frameferry.errors import StackError

_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path:
    """
    Return the project's folder, with dags/, plugins/ and the demo's pipelines beside include/.

    Raises:
        StackError: The package was installed without it, as from a wheel.
    """
    folder = _checkout()
    if folder is None:
        msg = (
            "the embedded Airflow and the demo need a checkout of the project, with its dags/ and "
            f"plugins/; Frameferry runs from {_PACKAGE}, without one"
        )
        remedy = (
            "Run it in a checkout, after `make setup` there; or start the other servers with "
            "`frameferry stack up --only kafka,spark,ftp`. An Airflow of your own takes the files "
            "of dags/ and plugins/ (docs/operations.md, Airflow of your own)"
        )
        raise StackError(msg, remedy=remedy)
    return folder


def cache() -> Path:
    """
    Return the folder of what homes share and what can be made again.

    It is `FRAMEFERRY_CACHE`, by default `.cache` in the checkout; without a checkout, `frameferry`
    in the user's own cache.
    """
    named, folder = os.environ.get("FRAMEFERRY_CACHE"), _checkout()
    if named:
        return Path(named).absolute()
    if folder is not None:
        return folder / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "frameferry"


def _checkout() -> Path | None:
    folder = _PACKAGE.parents[1]
    return folder if (folder / "dags").is_dir() and (folder / "plugins").is_dir() else None


def python() -> str:
    """The interpreter that runs us: servers, tasks and Spark's workers get the same one."""
    return sys.executable


def program(name: str) -> str:
    """A program that the project's requirements brought, such as `airflow`."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def pyspark() -> Path:
    """The folder of the installed pyspark, which is a whole Spark; not imported here."""
    return Path(sysconfig.get_path("purelib")) / "pyspark"
