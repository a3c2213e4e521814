"""A process beside the embedded servers that starts again whichever of them dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frameferry.config.home import ledger_url, pipelines_folder
from frameferry.stack import layout
from frameferry.stack.processes import Command
from frameferry.stack.servers import Kind

NAME = "watcher"


@dataclass(frozen=True, slots=True)
class Watcher:
    """The watcher of a home; two of them at once do no harm, since only one holds the home."""

    log: Path

    def prepare(self) -> None:
        """It has no files of its own."""

    def commands(self) -> Mapping[str, Command]:
        """One process, with the pipelines and the ledger of the process that starts it."""
        argv = (layout.python(), "-m", "frameferry.stack.watch")
        env = {
            "FRAMEFERRY_PIPELINES": str(pipelines_folder()),
            "FRAMEFERRY_LEDGER_URL": ledger_url(),
        }
        # In the same folder too: relative paths in its environment are found from there.
        return {NAME: Command(argv, folder=Path.cwd(), log=self.log, env=env)}

    def is_ready(self) -> bool:
        """Say yes: it answers nobody, so it is enough that it lives."""
        return True


KIND = Kind(
    NAME, ports={}, deadline_seconds=30, build=lambda setting: Watcher(log=setting.log(NAME))
)
