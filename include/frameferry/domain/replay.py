"""A replay: what a person asked to be run again, and how far that is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from frameferry.domain.batch import ReplayMode
from frameferry.domain.selection import Selection
from frameferry.domain.selection_json import to_json

ReplayState = Literal["open", "done"]


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay as the ledger holds it; `open_batches` are its leaves that are not committed yet.

    Its pieces were frozen in one transaction, so that it holds all that was selected when it was
    asked for, and nothing is added to it.
    """

    id: int
    mode: ReplayMode
    selection: Selection
    who: str
    asked_at: datetime
    batches: int
    open_batches: tuple[int, ...]

    @property
    def state(self) -> ReplayState:
        """Say whether anything of it is left to do."""
        return "open" if self.open_batches else "done"

    def as_json(self) -> dict[str, Any]:
        """Say it to a program."""
        return {
            "replay": self.id,
            "state": self.state,
            "mode": self.mode,
            "selection": json.loads(to_json(self.selection)),
            "who": self.who,
            "asked_at": self.asked_at.isoformat(timespec="seconds"),
            "batches": self.batches,
            "open": len(self.open_batches),
        }

    def __str__(self) -> str:
        return f"replay {self.id} ({self.mode} {self.selection})"
