"""Replay: run the steps again over ranges that are committed already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from frameferry.config.person import person
from frameferry.domain.batch import ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError
from frameferry.pipeline import world
from frameferry.pipeline.context import Context

MAX_BATCHES = 1024
"""Airflow expands a mapped group to at most this many."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay will do: its pieces, and the records that the ledger holds for them."""

    wanted: OffsetRange
    mode: ReplayMode
    pieces: tuple[OffsetRange, ...]
    records: int
    quarantined: int
    batch_ids: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return (
            f"{self.mode} {self.wanted}: {self.records:,} records delivered before, "
            f"{self.quarantined:,} quarantined, in {len(self.pieces)} batches"
        )


def plan_replay(
    ctx: Context,
    *,
    partition: int,
    start: int,
    end: int,
    mode: ReplayMode,
    dry_run: bool,
    who: str = "",
) -> ReplayPlan:
    """
    Freeze the batches of a replay, or only say what they would be.

    Args:
        ctx: The pipeline.
        partition: The partition to replay.
        start: First offset, inclusive.
        end: Last offset, exclusive; at most the committed offset.
        mode: `redeliver` keeps the predictions, `reinfer` makes new ones.
        dry_run: Write nothing.
        who: The person who asked, for the record.

    Raises:
        ConfigError: The range is empty, unknown, not committed yet, or under replay already.
    """
    wanted = _checked_range(ctx, partition, start, end)
    pieces = tuple(_pieces(wanted, ctx.settings.batch.max_records))
    if len(pieces) > MAX_BATCHES:
        msg = (
            f"the range makes {len(pieces)} batches of {ctx.settings.batch.max_records} offsets; "
            f"at most {MAX_BATCHES} fit in one replay"
        )
        raise ConfigError(
            msg, remedy="Replay it in several ranges", pipeline=ctx.pipeline, partition=partition
        )
    plan = ReplayPlan(wanted, mode, pieces, *_standing(ctx, wanted), batch_ids=())
    if dry_run:
        return plan
    ids = _add(ctx, pieces, mode, who or person(), plan.sentence)
    log.info("replay.planned", pipeline=ctx.pipeline, batches=ids, sentence=plan.sentence)
    return ReplayPlan(wanted, mode, pieces, plan.records, plan.quarantined, batch_ids=ids)


def _add(
    ctx: Context, pieces: Sequence[OffsetRange], mode: ReplayMode, who: str, sentence: str
) -> tuple[int, ...]:
    return tuple(
        ctx.ledger.add_replay(
            ctx.pipeline,
            ranges=[piece],
            mode=mode,
            sentence=sentence,
            config_digest=ctx.settings.digest,
            who=who,
        )
        for piece in pieces
    )


def _checked_range(ctx: Context, partition: int, start: int, end: int) -> OffsetRange:
    where: dict[str, str | int | None] = {"pipeline": ctx.pipeline, "partition": partition}
    known = world.state(ctx).progress
    if partition not in known:
        has = ", ".join(map(str, sorted(known)))
        msg = f"this pipeline has no partition {partition}; it has: {has}"
        raise ConfigError(msg, remedy="Name one of these", pipeline=ctx.pipeline)
    if not 0 <= start < end:
        msg = f"not an offset range: from {start} to {end} (to is exclusive)"
        raise ConfigError(msg, remedy="Give 0 <= from < to").at(**where)
    committed = known[partition].committed
    if end > committed:
        msg = f"to {end} is beyond the committed offset {committed}"
        remedy = f"Choose to <= {committed}; only what is committed can be replayed"
        raise ConfigError(msg, remedy=remedy).at(**where)
    return OffsetRange(partition, start, end)


def _pieces(wanted: OffsetRange, max_offsets: int) -> Iterator[OffsetRange]:
    for start in range(wanted.start, wanted.end, max_offsets):
        yield OffsetRange(wanted.partition, start, min(start + max_offsets, wanted.end))


def _standing(ctx: Context, wanted: OffsetRange) -> tuple[int, int]:
    return ctx.ledger.count_standing(ctx.pipeline, wanted)
