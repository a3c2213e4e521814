"""`frameferry airflow`: what Airflow needs besides the project's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from frameferry.cli.terminal import out
from frameferry.config.folder import load_all
from frameferry.config.home import pipelines_folder
from frameferry.config.pools import pool_slots
from frameferry.errors import StackError

_TIMEOUT_SECONDS = 120

app = typer.Typer(no_args_is_help=True, help="Prepare an Airflow of your own.")


@app.command()
def setup() -> None:
    """Make the pools that cap Spark jobs and FTP connections over all pipelines."""
    whole, _ = load_all(pipelines_folder())
    for name, slots in pool_slots(whole.values()).items():
        _set_pool(name, slots)
        out.print(f"pool {name}: {slots} slots")


def _set_pool(name: str, slots: int) -> None:
    airflow = Path(sys.executable).with_name("airflow")
    command = [str(airflow), "pools", "set", name, str(slots), "made by frameferry airflow setup"]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        msg = f"airflow pools set {name} failed: {reason}"
        raise StackError(
            msg, remedy="Check that Airflow's database is reachable from here"
        ) from error
