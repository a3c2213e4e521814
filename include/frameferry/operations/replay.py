"""Replay: run the steps again over what is committed already, as a person selects it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import structlog

from frameferry.config.person import person
from frameferry.domain.batch import ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.replay import Relocation, Replay
from frameferry.domain.selection import Asked, Predicted, Quarantined, Selection, Window
from frameferry.domain.selection_json import to_json
from frameferry.domain.wording import counted, in_bytes, in_time
from frameferry.errors import ConfigError, OffsetsLost
from frameferry.operations.copying import base_for_copies
from frameferry.operations.selecting import offsets_of, settled
from frameferry.pipeline import family
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import PUT_BACK, misplaced, told_elsewhere
from frameferry.pipeline.steps import publish
from frameferry.pipeline.world import world
from frameferry.planning.pace import learn_pace

MAX_BATCHES = 1024
"""Airflow expands a mapped group to at most this many."""
MAX_RANGES_OF_BATCH = 64
"""Each is read by a consumer of its own, which takes some tenths of a second to begin."""
Piece = tuple[OffsetRange, ...]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """
    What a replay will do: its pieces, a batch each, and what the ledger holds for their offsets.

    `records` were delivered before. `size_bytes` is what will be sent, `seconds` about how long it
    takes by the pace of the last live batches, None if there were none. `gone` offsets of the
    selection are not among them: Kafka no longer holds them. `taken_up` are the open batches of
    this very replay, which was interrupted; then there are no pieces. `into` is another base folder
    for copies, beside which what stands goes on standing.
    """

    selection: Selection
    mode: ReplayMode
    pieces: tuple[Piece, ...]
    records: int
    quarantined: int
    size_bytes: int
    seconds: float | None
    batch_ids: tuple[int, ...] = ()
    taken_up: tuple[int, ...] = ()
    gone: int = 0
    into: str | None = None

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        into = "" if self.into is None else f" into {self.into}"
        told = (
            f"{self.mode} {self.selection}{into}: "
            f"{counted(self.records, 'record')} delivered before, "
            f"{self.quarantined:,} quarantined, {in_bytes(self.size_bytes)}"
        )
        if self.seconds is not None:
            # What is not judged again takes less than the last batches did.
            most = "at most" if self.mode == "redeliver" else "about"
            told = f"{told}, {most} {in_time(self.seconds)}"
        if self.taken_up:
            left = counted(len(self.taken_up), "batch", "batches")
            return f"{told}, in what is left of a replay that did not end: {left}"
        told = f"{told}, in {counted(len(self.pieces), 'batch', 'batches')}"
        if self.gone:
            return f"{told}; {counted(self.gone, 'offset')} of it Kafka no longer holds"
        return told

    def as_json(self) -> dict[str, Any]:
        """Say it to a program."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**told, "selection": json.loads(to_json(self.selection)), "sentence": self.sentence}


def plan_replay(
    ctx: Context,
    selection: Asked,
    *,
    mode: ReplayMode,
    dry_run: bool,
    who: str = "",
    piece_records: int | None = None,
    into: str | None = None,
) -> ReplayPlan:
    """
    Freeze all batches of a replay in one transaction, or only say what they would be.

    If the same selection was asked for in the same mode and for the same base and has not ended,
    its open batches are taken up, and what it had finished is not done again.

    Args:
        ctx: The pipeline.
        selection: What to replay; all of it must be committed.
        mode: `redeliver` keeps the predictions, `reinfer` makes new ones.
        dry_run: Write nothing.
        who: The person who asked, for the record.
        piece_records: Offsets in a batch, at most; None: `batch.max_records`, above which it may
            not be. One that is taken up keeps its batches.
        into: Another base folder on the same server, for copies: the files, rows and labels that
            stand go on standing. None: under the names that stand.

    Raises:
        ConfigError: The selection is empty, unknown, not committed yet, or under another replay; or
            the rows to be kept belong to another server or base.
        OffsetsLost: Kafka no longer holds a range that was named, or anything that was selected.
        TopicChanged: The topic is another by now: its offsets mean other images.
        KafkaUnavailable, TopicMissing: Nobody can say what Kafka holds.
    """
    world.state(ctx)
    most = _piece_records(ctx, piece_records)
    wanted = settled(ctx, selection)
    base = None if into is None else base_for_copies(ctx, into)
    interrupted = ctx.ledger.open_replay(ctx.pipeline, wanted, mode, base)
    if interrupted is not None:
        return _take_up(ctx, interrupted, dry_run=dry_run, who=who or person())
    plan = replace(_new(ctx, wanted, mode, most), into=base)
    if dry_run:
        ctx.ledger.check_replay(ctx.pipeline, [one for piece in plan.pieces for one in piece])
        return plan
    ids = ctx.ledger.add_replay(
        ctx.pipeline,
        selection=wanted,
        mode=mode,
        pieces=plan.pieces,
        sentence=plan.sentence,
        config_digest=ctx.settings.digest,
        who=who or person(),
        relocation=Relocation(ctx.settings.deliver.base, base) if base else None,
    )
    log.info("replay.planned", pipeline=ctx.pipeline, batches=ids, sentence=plan.sentence)
    return replace(plan, batch_ids=ids)


def carry(ctx: Context, batch_ids: Iterable[int]) -> None:
    """Carry the batches of replays to their commits, in order, and mirror what is committed."""
    listed = list(batch_ids)
    for batch_id in listed:
        family.carry(ctx, batch_id)
    if listed:
        publish(ctx)


def resume_replay(ctx: Context, replay_id: int, *, who: str) -> ReplayPlan:
    """
    Let a stopped replay go on, and say what is left of it; the action is recorded.

    Raises:
        ConfigError: There is none with this number, or it is not stopped; or its files belong to
            another server or base by now.
    """
    found = ctx.ledger.find_replay(ctx.pipeline, replay_id)
    plan = _taken_up(ctx, found)
    ctx.ledger.resume_replay(ctx.pipeline, replay_id, who=who)
    return replace(plan, batch_ids=plan.taken_up)


def _take_up(ctx: Context, interrupted: Replay, *, dry_run: bool, who: str) -> ReplayPlan:
    """Go on with an open replay; who asks for a stopped one again lets it go on."""
    plan = _taken_up(ctx, interrupted)
    if dry_run:
        return plan
    if interrupted.state == "stopped":
        ctx.ledger.resume_replay(ctx.pipeline, interrupted.id, who=who)
    return replace(plan, batch_ids=plan.taken_up)


def _taken_up(ctx: Context, interrupted: Replay) -> ReplayPlan:
    left = interrupted.open_batches
    there = ctx.delivering_into(interrupted.into)
    for batch_id in left:
        if (place := misplaced(there, batch_id)) is not None:
            raise ConfigError(told_elsewhere(there, place), remedy=PUT_BACK, batch=batch_id)
    ranges = [one for batch_id in left for one in ctx.ledger.batch(batch_id).ranges]
    load = _load(ctx, ranges, interrupted.mode, len(left))
    return ReplayPlan(
        *(interrupted.selection, interrupted.mode, (), *load), taken_up=left, into=interrupted.into
    )


def _piece_records(ctx: Context, asked: int | None) -> int:
    most = ctx.settings.batch.max_records
    if asked is not None and not 1 <= asked <= most:
        msg = f"a batch of a replay cannot hold up to {asked:,} records"
        remedy = f"Give 1 to {most:,} (batch.max_records)"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)
    return asked or most


def _new(ctx: Context, selection: Selection, mode: ReplayMode, most: int) -> ReplayPlan:
    _refuse_idle(ctx, selection, mode)
    wanted = offsets_of(ctx, selection)
    held = _held(ctx, selection, wanted)
    pieces = tuple(_pieces(held, most))
    _refuse_many(ctx, pieces, most)
    if mode == "redeliver":
        _refuse_elsewhere(ctx, held)
    load = _load(ctx, held, mode, len(pieces))
    gone = _length(wanted) - _length(held)
    return ReplayPlan(selection, mode, pieces, *load, gone=gone)


def _load(
    ctx: Context, ranges: Sequence[OffsetRange], mode: ReplayMode, batches: int
) -> tuple[int, int, int, float | None]:
    """Say what a replay has to carry: delivered before, quarantined, bytes, seconds."""
    delivered, quarantined = ctx.ledger.count_standing(ctx.pipeline, ranges)
    sent = ("delivered",) if mode == "redeliver" else ("delivered", "quarantined")
    size_bytes = ctx.ledger.standing_bytes(ctx.pipeline, ranges, sent)
    pace = learn_pace(world.state(ctx).costs)
    if pace is None or not pace.records_per_offset:
        return delivered, quarantined, size_bytes, None
    records = delivered if mode == "redeliver" else delivered + quarantined
    seconds = batches * pace.fixed_seconds + records * pace.marginal_seconds
    return delivered, quarantined, size_bytes, seconds


def _refuse_idle(ctx: Context, selection: Selection, mode: ReplayMode) -> None:
    """Refuse a replay that would end well and send nothing: quarantined records have no file."""
    if isinstance(selection, Quarantined) and mode == "redeliver":
        msg = "redeliver leaves in quarantine what is there: nothing would be sent"
        remedy = "To have them judged again, replay them with --mode reinfer"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)


def _refuse_many(ctx: Context, pieces: Sequence[Piece], most: int) -> None:
    if len(pieces) > MAX_BATCHES:
        msg = (
            f"this makes {len(pieces):,} batches of up to {most:,} "
            f"offsets and {MAX_RANGES_OF_BATCH} ranges; at most {MAX_BATCHES:,} fit in one replay"
        )
        raise ConfigError(msg, remedy="Replay it in several ranges", pipeline=ctx.pipeline)


def _held(ctx: Context, selection: Selection, wanted: Sequence[OffsetRange]) -> Piece:
    """
    Find what Kafka still holds: a replay of anything else would end well and send nothing.

    A named range is refused unless all of it is held. A selection by what is known of the records
    is cut down to what is held.
    """
    partitions = tuple(sorted({one.partition for one in wanted}))
    with ctx.cluster() as cluster:
        view = cluster.view(ctx.settings.kafka.topic, partitions)
    world.refuse_other_topic(ctx, view)
    lows = {partition: view.watermarks[partition].low for partition in partitions}
    if not isinstance(selection, Quarantined | Predicted | Window):
        _refuse_lost(ctx, wanted, lows)
        return tuple(wanted)
    held = tuple(
        replace(one, start=max(one.start, lows[one.partition]))
        for one in wanted
        if one.end > lows[one.partition]
    )
    if not held:
        msg = f"Kafka holds nothing any more of {selection}"
        raise OffsetsLost(msg, remedy="Nothing of it can be replayed", pipeline=ctx.pipeline)
    return held


def _refuse_lost(ctx: Context, wanted: Sequence[OffsetRange], lows: dict[int, int]) -> None:
    for one in wanted:
        low = lows[one.partition]
        if one.start < low:
            msg = (
                f"from {one.start} is below the low watermark {low}: Kafka holds nothing below "
                "that any more"
            )
            is_left = low < one.end
            remedy = f"Choose from >= {low}" if is_left else "Nothing of it can be replayed"
            raise OffsetsLost(msg, remedy=remedy, pipeline=ctx.pipeline, partition=one.partition)


def _refuse_elsewhere(ctx: Context, ranges: Sequence[OffsetRange]) -> None:
    """Refuse what could not be delivered where its rows say, before anything is frozen."""
    here, base = ctx.ftp.destination, ctx.settings.deliver.base
    place = ctx.ledger.standing_elsewhere(ctx.pipeline, ranges, destination=here, base=base)
    if place is not None:
        remedy = (
            "To have the pictures judged for the new place, replay them with --mode reinfer; "
            "to send them to the old one, put server and base back first"
        )
        raise ConfigError(told_elsewhere(ctx, place), remedy=remedy, pipeline=ctx.pipeline)


def _pieces(ranges: Iterable[OffsetRange], max_offsets: int) -> Iterator[Piece]:
    """Cut long ranges, and let short ones share a batch, in order."""
    piece: list[OffsetRange] = []
    for part in (cut for one in ranges for cut in _cuts(one, max_offsets)):
        is_full = _length(piece) + part.length > max_offsets or len(piece) == MAX_RANGES_OF_BATCH
        if piece and is_full:
            yield tuple(piece)
            piece = []
        piece.append(part)
    if piece:
        yield tuple(piece)


def _cuts(wanted: OffsetRange, max_offsets: int) -> Iterator[OffsetRange]:
    for start in range(wanted.start, wanted.end, max_offsets):
        yield replace(wanted, start=start, end=min(start + max_offsets, wanted.end))


def _length(ranges: Iterable[OffsetRange]) -> int:
    return sum(one.length for one in ranges)
