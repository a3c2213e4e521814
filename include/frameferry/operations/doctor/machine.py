"""What this machine has: Python, packages, Java, room, and Airflow with its pools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from frameferry.domain.signs import Answer, fine, warning, wrong
from frameferry.errors import encodable

_JAVA: Final = (17, 21)
_FEW_BYTES: Final = 2**30
_NO_BYTES: Final = 100 * 2**20
_JAVA_SECONDS: Final = 20
_AIRFLOW_SECONDS: Final = 120
_AIRFLOW_VARIABLES: Final = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")


def packages() -> Iterator[Answer]:
    """Compare what is installed with what this package asks for."""
    if _installed("frameferry") is None:
        seen = "frameferry runs from a folder and is not installed: nobody knows what it asks for"
        yield warning(seen, "Install it, as pip install -e . does")
        return
    wanted = [Requirement(text) for text in requires("frameferry") or ()]
    found = {one.name: _installed(one.name) for one in wanted}
    misfits = [
        f"{one.name} {found[one.name]} (wanted {one.specifier})"
        for one in wanted
        if found[one.name] and not one.specifier.contains(str(found[one.name]), prereleases=True)
    ]
    if misfits:
        remedy = "Install the pinned requirements.txt in an environment of its own"
        yield wrong("; ".join(misfits), remedy)
    if missing := [name for name, installed in found.items() if not installed]:
        remedy = "Install requirements.txt where Airflow runs or pictures are judged"
        yield warning(f"not installed here: {', '.join(missing)}", remedy)
    if not misfits and not missing:
        python = ".".join(map(str, sys.version_info[:3]))
        ours = _installed("frameferry")
        yield fine(f"frameferry {ours}, Python {python}, {len(wanted)} packages as wanted")
    yield from _pyspark()


def _pyspark() -> Iterator[Answer]:
    """Both distributions own the same files: of two versions the one installed last wins."""
    whole, client = _installed("pyspark"), _installed("pyspark-client")
    if whole and client and whole != client:
        seen = f"pyspark {whole} and pyspark-client {client} own the same files"
        yield wrong(seen, "Install equal versions of both: pip install the pinned requirements.txt")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def java() -> Iterator[Answer]:
    """Ask the Java that spark-submit would take for its version."""
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else shutil.which("java")
    remedy = "Install Java 17 or 21, and set JAVA_HOME if there are several"
    if not program:
        yield wrong("there is no java on the path, and no JAVA_HOME", remedy)
        return
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            timeout=_JAVA_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield wrong(f"{program} does not start: {type(error).__name__}", remedy)
        return
    found = re.search(r'version "(\d+)', done.stderr)
    if found and int(found[1]) in _JAVA:
        yield fine(f"Java {found[1]} at {program}")
    else:
        yield wrong(f"{program} is not Java 17 or 21", remedy)


def room(folder: Path) -> Iterator[Answer]:
    """See how much room is left where a folder lies, or will lie."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    seen = f"{free / 2**30:,.1f} GiB free"
    if free < _NO_BYTES:
        yield wrong(seen, "Make room: a ledger that cannot write stops all pipelines")
    elif free < _FEW_BYTES:
        yield warning(seen, "Make room, or move it to another disk")
    else:
        yield fine(seen)


def airflow(slots: Mapping[str, int], environment: Mapping[str, str]) -> Iterator[Answer]:
    """
    Compare Airflow's pools with those that the pipelines need.

    Args:
        slots: What they need: the slots of each pool by its name.
        environment: What leads to Airflow's database. Where nothing does, Airflow is not asked: its
            command would make a new one.
    """
    found = _installed("apache-airflow-core") or _installed("apache-airflow")
    if found is None:
        yield fine("not installed here: pipelines are run by hand, or elsewhere")
        return
    if not any(environment.get(name) for name in _AIRFLOW_VARIABLES):
        yield fine(f"Airflow {found}; no AIRFLOW_HOME here, so its pools were not looked at")
        return
    pools = _pools(environment)
    if isinstance(pools, str):
        remedy = (
            "See whether AIRFLOW_HOME is the one of the running Airflow, and its database is up"
        )
        yield wrong(f"its pools cannot be listed: {pools}", remedy)
        return
    yield from _compared(slots, pools, found)


def _pools(environment: Mapping[str, str]) -> dict[str, int] | str:
    """Let Airflow list its pools; in words why it could not."""
    program = Path(sys.executable).with_name("airflow")
    try:
        done = subprocess.run(
            [str(program), "pools", "list", "--output", "json"],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_AIRFLOW_SECONDS,
            check=True,
        )
        listed = json.loads(done.stdout[done.stdout.index("[") :])
        return {str(one["pool"]): int(one["slots"]) for one in listed}
    except subprocess.CalledProcessError as error:
        # Only the last line's kind: the rest may quote the database's address, password and all.
        last = encodable((error.stderr or "").strip().rpartition("\n")[2])
        return f"airflow pools list ended with {error.returncode}: {last.partition(':')[0][:80]}"
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        return f"airflow pools list: {type(error).__name__}"


def _compared(slots: Mapping[str, int], pools: Mapping[str, int], found: str) -> Iterator[Answer]:
    remedy = "Run: frameferry airflow setup"
    if missing := sorted(set(slots) - set(pools)):
        yield wrong(f"no pool {', '.join(missing)}: tasks wait for ever", remedy)
    small = [name for name in slots if name in pools and pools[name] < slots[name]]
    if small:
        told = ", ".join(f"{name} has {pools[name]} of {slots[name]} slots" for name in small)
        yield warning(told, f"{remedy}, unless that is meant")
    if not missing and not small:
        yield fine(f"Airflow {found}, {len(slots)} pools as configured")
