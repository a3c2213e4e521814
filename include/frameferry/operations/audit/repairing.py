"""Plan the replays that send again what an audit found missing or wrong, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from frameferry.domain.audit import AuditedRow, Repair, Repairs
from frameferry.domain.batch import ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import Quarantined, Ranges, Selection
from frameferry.errors import KafkaUnavailable, OffsetsLost
from frameferry.operations.audit.auditing import Audited
from frameferry.operations.replay import plan_replay
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world

RANGES_OF_REPLAY: Final = 64
"""Of one replay: it is one batch then, or few, and its sentence can be read."""


def repair(
    ctx: Context, audited: Audited, *, reinfer_quarantined: bool, dry_run: bool, who: str
) -> Repairs:
    """
    Plan the replays that send again what is missing or wrong, or only say what they would be.

    All of them are checked before the first is frozen. Nothing is sent here.

    Args:
        ctx: The pipeline.
        audited: What was found.
        reinfer_quarantined: Have all that is in quarantine judged again, too.
        dry_run: Write nothing.
        who: The person who asked, for the record.

    Raises:
        KafkaUnavailable: Kafka did not answer the audit, or not now.
        ConfigError: An offset is under another replay, or its row belongs elsewhere by now.
    """
    if not audited.marks:
        msg = "Kafka did not answer the audit, so what could be sent again is not known"
        raise KafkaUnavailable(msg, remedy="Audit again", pipeline=ctx.pipeline)
    places, gone, later = _sorted_out(ctx, audited)
    wanted: list[tuple[Selection, ReplayMode]] = [
        (Ranges(piece), "redeliver") for piece in _pieces(_joined(places))
    ]
    if reinfer_quarantined:
        reasons, lost = _reasons(ctx)
        wanted += [(Quarantined(reason), "reinfer") for reason in reasons]
        gone += lost
    planned = [_planned(ctx, *one, dry_run=True, who=who) for one in wanted]
    if not dry_run:
        planned = [_planned(ctx, *one, dry_run=False, who=who) for one in wanted]
    return Repairs(dry_run, tuple(planned), gone=gone, left=audited.left + later)


def _planned(
    ctx: Context, selection: Selection, mode: ReplayMode, *, dry_run: bool, who: str
) -> Repair:
    plan = plan_replay(ctx, selection, mode=mode, dry_run=dry_run, who=who)
    records = plan.records if mode == "redeliver" else plan.quarantined
    return Repair(mode, str(selection), records, plan.batch_ids, plan.sentence)


def _sorted_out(ctx: Context, audited: Audited) -> tuple[list[tuple[int, int]], int, int]:
    """Find the places to send again, and count what Kafka lost, and what is not committed yet."""
    known = world.state(ctx)
    places: set[tuple[int, int]] = set()
    gone, later = set[AuditedRow](), set[AuditedRow]()
    for row in audited.to_repair:
        mark = audited.marks.get(row.partition)
        if row.generation != known.generation or mark is None or row.offset < mark.low:
            gone.add(row)
        elif row.offset >= known.progress[row.partition].committed:
            later.add(row)
        else:
            places.add((row.partition, row.offset))
    return sorted(places), len(gone), len(later)


def _reasons(ctx: Context) -> tuple[list[str], int]:
    """List the reasons of which Kafka holds something; count what it lost of the others."""
    held, lost = [], 0
    for reason, number in ctx.ledger.counts(ctx.pipeline).reasons.items():
        if not ctx.ledger.quarantined_ranges(ctx.pipeline, reason):
            continue  # not committed yet
        try:
            plan_replay(ctx, Quarantined(reason), mode="reinfer", dry_run=True)
        except OffsetsLost:
            lost += number
        else:
            held.append(reason)
    return held, lost


def _joined(places: Iterable[tuple[int, int]]) -> Iterator[OffsetRange]:
    """Join offsets that follow each other; no other offset lies in any range."""
    last: OffsetRange | None = None
    for partition, offset in places:
        if last is not None and (last.partition, last.end) == (partition, offset):
            last = OffsetRange(partition, last.start, offset + 1)
            continue
        if last is not None:
            yield last
        last = OffsetRange(partition, offset, offset + 1)
    if last is not None:
        yield last


def _pieces(ranges: Iterable[OffsetRange]) -> Iterator[tuple[OffsetRange, ...]]:
    listed: Sequence[OffsetRange] = list(ranges)
    for start in range(0, len(listed), RANGES_OF_REPLAY):
        yield tuple(listed[start : start + RANGES_OF_REPLAY])
