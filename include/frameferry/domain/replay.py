"""A replay: what a person asked to be run again, and how far that is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from frameferry.domain.batch import ReplayMode
from frameferry.domain.selection import Selection
from frameferry.domain.selection_json import to_json

ReplayState = Literal["open", "stopped", "done"]


class Relocation(NamedTuple):
    """What lies below the folder `base` is copied below `into`; neither ends in a slash."""

    base: str
    into: str

    def __str__(self) -> str:
        return f" into {self.into}"


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay as the ledger holds it.

    `open_batches` are its leaves that are not committed yet. `stopped_by` is the person who stopped
    it, None while it may run. `into` is another base folder, below which it puts copies; None: it
    puts the files under the names that stand.

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
    stopped_by: str | None
    into: str | None = None

    @property
    def state(self) -> ReplayState:
        """Say whether anything of it is left to do."""
        if not self.open_batches:
            return "done"
        return "open" if self.stopped_by is None else "stopped"

    @property
    def what(self) -> str:
        """Say what is run again, and where copies go."""
        return str(self.selection) if self.into is None else f"{self.selection} into {self.into}"

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
            "stopped_by": self.stopped_by,
            "into": self.into,
        }

    def __str__(self) -> str:
        return f"replay {self.id} ({self.mode} {self.what})"


@dataclass(frozen=True, slots=True)
class Change:
    """
    So many records of a replay had one verdict before, and have another, or the same, by it.

    A verdict is a label, or `quarantined: ` and the reason. The models are the digests of their
    judges, None where nothing judged.
    """

    before: str
    after: str
    model_before: str | None
    model_after: str | None
    records: int

    @property
    def is_change(self) -> bool:
        """Say whether the verdict is another."""
        return self.before != self.after
