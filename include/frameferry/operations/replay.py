"""Replay: run the steps again over ranges that are committed already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from frameferry.config.person import person
from frameferry.domain.batch import ReplayLeaf, ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, OffsetsLost, Where
from frameferry.ledger.records.replays import under_replay
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import PUT_BACK, misplaced, told_elsewhere
from frameferry.pipeline.world import world

MAX_BATCHES = 1024
"""Airflow expands a mapped group to at most this many."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """
    What a replay will do: its pieces, and the records that the ledger holds for its range.

    `taken_up` are batches of a replay that was interrupted; `batch_ids` begins with them.
    """

    wanted: OffsetRange
    mode: ReplayMode
    pieces: tuple[OffsetRange, ...]
    records: int
    quarantined: int
    batch_ids: tuple[int, ...]
    taken_up: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        told = (
            f"{self.mode} {self.wanted}: {self.records:,} records delivered before, "
            f"{self.quarantined:,} quarantined, in {len(self.pieces)} batches"
        )
        if not self.taken_up:
            return told
        return f"{told}, after {len(self.taken_up)} of a replay that did not end"


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

    Where a replay of this range and mode was interrupted, its open batches are taken up, and what
    it had finished is not done again.

    Args:
        ctx: The pipeline.
        partition: The partition to replay.
        start: First offset, inclusive.
        end: Last offset, exclusive; at most the committed offset.
        mode: `redeliver` keeps the predictions, `reinfer` makes new ones.
        dry_run: Write nothing.
        who: The person who asked, for the record.

    Raises:
        ConfigError: The range is empty, unknown, not committed yet, or under another replay; or
            the rows to be kept belong to another server or base.
        OffsetsLost: Kafka no longer holds its beginning.
        TopicChanged: The topic is another by now: its offsets mean other images.
        KafkaUnavailable, TopicMissing: Nobody can say what Kafka holds.
    """
    wanted = _checked_range(ctx, partition, start, end)
    known = ctx.ledger.replays_over(ctx.pipeline, wanted)
    taken_up = _interrupted(ctx, wanted, mode, known)
    left = wanted.without(_covered(mode, known))
    pieces = tuple(
        piece for part in left for piece in _pieces(part, ctx.settings.batch.max_records)
    )
    _refuse_many(ctx, partition, len(taken_up) + len(pieces))
    if pieces:
        _refuse_lost(ctx, partition, pieces[0].start, end)
    _refuse_elsewhere(ctx, mode, pieces, taken_up)
    standing = _standing(ctx, wanted)
    plan = ReplayPlan(wanted, mode, pieces, *standing, batch_ids=(), taken_up=taken_up)
    if dry_run:
        return plan
    ids = (*taken_up, *_add(ctx, plan, who or person(), _moment(known)))
    log.info("replay.planned", pipeline=ctx.pipeline, batches=ids, sentence=plan.sentence)
    return replace(plan, batch_ids=ids)


def _interrupted(
    ctx: Context, wanted: OffsetRange, mode: ReplayMode, known: Sequence[ReplayLeaf]
) -> tuple[int, ...]:
    """
    Find the open batches of this very replay.

    Raises:
        ConfigError: One belongs to another replay, which has to end first.
    """
    found = [one for one in known if one.is_open]
    for one in found:
        if one.mode != mode or one.wanted.without([wanted]):
            raise under_replay(ctx.pipeline, one)
    return tuple(one.id for one in found)


def _covered(mode: ReplayMode, known: Sequence[ReplayLeaf]) -> list[OffsetRange]:
    """Name what needs no new batch: what is open, and what the same replay has finished."""
    asked = {one.asked_at for one in known if one.is_open}
    return [one.wanted for one in known if one.mode == mode and one.asked_at in asked]


def _moment(known: Sequence[ReplayLeaf]) -> datetime:
    """Name the moment that tells a replay from others: that of the one it takes up, or now."""
    return max((one.asked_at for one in known if one.is_open), default=datetime.now(UTC))


def _refuse_many(ctx: Context, partition: int, count: int) -> None:
    if count > MAX_BATCHES:
        msg = (
            f"the range makes {count} batches of {ctx.settings.batch.max_records} offsets; "
            f"at most {MAX_BATCHES} fit in one replay"
        )
        raise ConfigError(
            msg, remedy="Replay it in several ranges", pipeline=ctx.pipeline, partition=partition
        )


def _refuse_lost(ctx: Context, partition: int, start: int, end: int) -> None:
    """Refuse to send what cannot be read any more: it would end well, and send nothing."""
    with ctx.cluster() as cluster:
        view = cluster.view(ctx.settings.kafka.topic, (partition,))
    world.refuse_other_topic(ctx, view)
    low = view.watermarks[partition].low
    if start >= low:
        return
    msg = f"from {start} is below the low watermark {low}: Kafka holds nothing below that any more"
    remedy = f"Choose from >= {low}" if low < end else "Nothing of it can be replayed"
    raise OffsetsLost(msg, remedy=remedy, pipeline=ctx.pipeline, partition=partition)


def _refuse_elsewhere(
    ctx: Context, mode: ReplayMode, pieces: Sequence[OffsetRange], taken_up: Sequence[int]
) -> None:
    """Refuse what could not be delivered where its rows say, before anything is frozen."""
    for batch_id in taken_up:
        if (place := misplaced(ctx, batch_id)) is not None:
            raise ConfigError(told_elsewhere(ctx, place), remedy=PUT_BACK, batch=batch_id)
    here, base = ctx.ftp.destination, ctx.settings.deliver.base
    for piece in pieces if mode == "redeliver" else ():
        place = ctx.ledger.standing_elsewhere(ctx.pipeline, piece, destination=here, base=base)
        if place is not None:
            remedy = (
                "To have the pictures judged for the new place, replay them with --mode reinfer; "
                "to send them to the old one, put server and base back first"
            )
            raise ConfigError(told_elsewhere(ctx, place), remedy=remedy, pipeline=ctx.pipeline)


def _add(ctx: Context, plan: ReplayPlan, who: str, asked_at: datetime) -> tuple[int, ...]:
    return tuple(
        ctx.ledger.add_replay(
            ctx.pipeline,
            ranges=[piece],
            mode=plan.mode,
            sentence=plan.sentence,
            config_digest=ctx.settings.digest,
            who=who,
            asked_at=asked_at,
        )
        for piece in plan.pieces
    )


def _checked_range(ctx: Context, partition: int, start: int, end: int) -> OffsetRange:
    where: Where = {"pipeline": ctx.pipeline, "partition": partition}
    known = world.state(ctx).progress
    if partition not in known:
        has = ", ".join(map(str, sorted(known)))
        msg = f"this pipeline has no partition {partition}; it has: {has}"
        raise ConfigError(msg, remedy="Name one of these", pipeline=ctx.pipeline)
    if not 0 <= start < end:
        msg = f"not an offset range: from {start} to {end} (to is exclusive)"
        raise ConfigError(msg, remedy="Give 0 <= from < to", **where)
    committed = known[partition].committed
    if end > committed:
        msg = f"to {end} is beyond the committed offset {committed}"
        remedy = f"Choose to <= {committed}; only what is committed can be replayed"
        raise ConfigError(msg, remedy=remedy, **where)
    return OffsetRange(partition, start, end)


def _pieces(wanted: OffsetRange, max_offsets: int) -> Iterator[OffsetRange]:
    for start in range(wanted.start, wanted.end, max_offsets):
        yield OffsetRange(wanted.partition, start, min(start + max_offsets, wanted.end))


def _standing(ctx: Context, wanted: OffsetRange) -> tuple[int, int]:
    return ctx.ledger.count_standing(ctx.pipeline, wanted)
