"""A batch: offset ranges, frozen when planned, replayed unchanged until finished or split."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from frameferry.domain.offsets import OffsetRange

BatchKind = Literal["live", "replay"]
ReplayMode = Literal["redeliver", "reinfer"]
CountsAs = Literal["failure", "proof", "company"]
"""What a failed judging is counted as; `company` only makes the batch a suspect."""


@dataclass(frozen=True, slots=True)
class Token:
    """
    The fencing token: a write is accepted only from the batch's newest attempt.

    `epoch` changes with every restore of the ledger, so a token cannot outlive its world.
    """

    epoch: str
    batch_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    What went wrong with judging a batch so far, as far as it counts.

    `failures` were met since it was planned. `charges` say that it, or what it was split from,
    failed while a control passed. `proofs`, of a batch of one offset, are failures between two
    controls that passed. `is_suspect` says that it failed in company, and so has to be judged
    alone. `last_failure` is what the last of these said.
    """

    failures: int = 0
    charges: int = 0
    proofs: int = 0
    is_suspect: bool = False
    last_failure: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    One batch as the ledger holds it. Timestamps are tested for None, never compared.

    `into` is the base folder of a replay that puts copies elsewhere; None: the pipeline's own.
    """

    id: int
    pipeline: str
    generation: int
    kind: BatchKind
    parent_id: int | None
    ranges: tuple[OffsetRange, ...]
    token: Token
    sentence: str
    config_digest: str
    judge_digest: str | None
    inferred_at: datetime | None
    delivered_at: datetime | None
    committed_at: datetime | None
    split_at: datetime | None
    trouble: Trouble = Trouble()
    into: str | None = None

    @property
    def offsets(self) -> int:
        """Offsets, not records, in all its ranges."""
        return sum(wanted.length for wanted in self.ranges)

    @property
    def part_tag(self) -> str:
        """Name this attempt's parts: unique, readable and sweepable."""
        return f"{self.token.epoch[:8]}-{self.id}-{self.token.attempt}"


@dataclass(frozen=True, slots=True)
class BatchCost:
    """
    What one delivered batch held and took: the planner's only knowledge of the future.

    Seconds are wall seconds of one stage. `loading_seconds` is the part of `infer_seconds` before
    cold workers met their first picture; 0 if all were warm.
    """

    offsets: int
    records: int
    size_bytes: int
    infer_seconds: float
    deliver_seconds: float
    loading_seconds: float = 0.0

    @property
    def judging_seconds(self) -> float:
        """Seconds of infer with warm workers."""
        return max(self.infer_seconds - self.loading_seconds, 0.0)

    @property
    def warm_seconds(self) -> float:
        """Seconds in all, had the workers been warm."""
        return self.judging_seconds + self.deliver_seconds
