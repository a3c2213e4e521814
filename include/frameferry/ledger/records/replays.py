"""Replays: batches over ranges that are committed already. They never touch progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, insert, literal, null, select

from frameferry.domain.batch import ReplayLeaf, ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import batch, batch_range, current, quarantine, record
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.pipelines import Known, need_pipeline
from frameferry.ledger.progress.plans import insert_batch, insert_ranges
from frameferry.ledger.records.intents import is_elsewhere
from frameferry.ledger.records.receipts import same_position


def add_replay(
    connection: Connection,
    name: str,
    *,
    ranges: Sequence[OffsetRange],
    mode: ReplayMode,
    sentence: str,
    config_digest: str,
    who: str,
    asked_at: datetime | None = None,
) -> int:
    """
    Plan a batch over committed offsets, and return its id; the action is recorded.

    *asked_at* is one moment for all batches of one replay; now, where there is only one.

    `redeliver` begins judged: it copies the standing rows, path and label and all; those
    that are quarantined stay so. `reinfer` begins with none.

    Raises:
        ConfigError: A range is not committed yet, or overlaps one of an open replay.
    """
    known = need_pipeline(connection, name)
    committed = lock_progress(connection, known)
    _refuse_bad(name, ranges, committed)
    _refuse_overlap(connection, name, ranges)
    _refuse_pruned(connection, known, name, ranges)
    batch_id = insert_batch(
        connection,
        known,
        kind="replay",
        mode=mode,
        sentence=sentence,
        config_digest=config_digest,
        inferred_at=from_now() if mode == "redeliver" else None,
        planned_at=asked_at or from_now(),
    )
    insert_ranges(connection, known, batch_id, ranges, is_live_root=False)
    if mode == "redeliver":
        for wanted in ranges:
            _copy(connection, known, batch_id, wanted)
        _copy_quarantines(connection, batch_id)
    detail = f"batch {batch_id}, {mode} {', '.join(map(str, sorted(ranges)))}"
    write_action(connection, who=who, what="replay", pipeline_id=known.id, detail=detail)
    return batch_id


def _refuse_bad(name: str, ranges: Sequence[OffsetRange], committed: dict[int, int]) -> None:
    if not ranges:
        msg = "a replay needs at least one range"
        raise ConfigError(msg, pipeline=name)
    for wanted in ranges:
        end = committed.get(wanted.partition)
        if end is None or wanted.end > end:
            msg = f"{wanted} is not committed yet: the committed offset is {end or 0}"
            remedy = (
                "Only committed offsets can be replayed; the others are delivered by the next runs"
            )
            raise ConfigError(msg, remedy=remedy, pipeline=name, partition=wanted.partition)
    for first, second in zip(sorted(ranges), sorted(ranges)[1:], strict=False):
        if first.overlaps(second):
            msg = f"the ranges {first} and {second} overlap"
            raise ConfigError(msg, remedy="Name each offset once", pipeline=name)


def replays_over(connection: Connection, name: str, wanted: OffsetRange) -> list[ReplayLeaf]:
    """List the replays that lie over a range of the newest generation, oldest first."""
    known = need_pipeline(connection, name)
    root = batch.alias()
    query = (
        select(
            batch.c.id,
            batch.c.mode,
            root.c.planned_at,
            batch_range.c.start_offset,
            batch_range.c.end_offset,
            batch.c.committed_at,
        )
        .join(batch_range, batch_range.c.batch_id == batch.c.id)
        .join(root, root.c.id == func.coalesce(batch.c.root_id, batch.c.id))
        .where(
            batch.c.pipeline_id == known.id,
            batch.c.generation == known.generation,
            batch.c.kind == "replay",
            batch.c.split_at.is_(None),
            batch_range.c.partition == wanted.partition,
            batch_range.c.start_offset < wanted.end,
            batch_range.c.end_offset > wanted.start,
        )
        .order_by(batch.c.id)
    )
    return [
        ReplayLeaf(
            id=row.id,
            mode=row.mode,
            asked_at=row.planned_at,
            wanted=OffsetRange(wanted.partition, row.start_offset, row.end_offset),
            is_open=row.committed_at is None,
        )
        for row in connection.execute(query)
    ]


def _refuse_overlap(connection: Connection, name: str, ranges: Sequence[OffsetRange]) -> None:
    """Let at most one open replay hold an offset; the locked progress rows keep rivals out."""
    for wanted in ranges:
        for other in replays_over(connection, name, wanted):
            if other.is_open:
                raise under_replay(name, other)


def under_replay(name: str, other: ReplayLeaf) -> ConfigError:
    """Make the error for a range that a replay which did not end holds."""
    msg = f"replay batch {other.id} ({other.mode}) is open over {other.wanted}"
    remedy = (
        "Let it end; where nothing runs it any more, this takes it up: frameferry replay "
        f"{name} --partition {other.wanted.partition} --from {other.wanted.start} "
        f"--to {other.wanted.end} --mode {other.mode}"
    )
    return ConfigError(msg, remedy=remedy, pipeline=name)


def standing_elsewhere(
    connection: Connection, name: str, wanted: OffsetRange, *, destination: str, base: str
) -> tuple[str, str] | None:
    """Find a range's standing file on another server or below another base; as `misplaced`."""
    query = (
        select(record.c.destination, record.c.remote_path)
        .join(current, current.c.record_id == record.c.id)
        .where(
            *_within(need_pipeline(connection, name), wanted),
            record.c.outcome == "delivered",
            is_elsewhere(destination, base),
        )
        .order_by(current.c.offset)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.destination, row.remote_path)


def _within(known: Known, wanted: OffsetRange) -> tuple[ColumnElement[bool], ...]:
    """Pick what stands in a range of the newest generation."""
    return (
        current.c.pipeline_id == known.id,
        current.c.generation == known.generation,
        current.c.partition == wanted.partition,
        current.c.offset >= wanted.start,
        current.c.offset < wanted.end,
    )


def _refuse_pruned(
    connection: Connection, known: Known, name: str, ranges: Sequence[OffsetRange]
) -> None:
    """Refuse what the ledger has no rows of any more: there is nothing to replay it by."""
    for wanted in ranges:
        # Nothing was pruned where each offset has its row, as is usual: no batch is looked at.
        if not _rowless(connection, known, wanted):
            continue
        for row in connection.execute(_pruned_over(known, wanted)).all():
            start, end = max(wanted.start, row.start_offset), min(wanted.end, row.end_offset)
            part = OffsetRange(wanted.partition, start, end)
            if rowless := _rowless(connection, known, part):
                msg = (
                    f"{rowless} offsets of {part} have no row: records of batch {row.id} were "
                    f"pruned on {row.pruned_at:%Y-%m-%d}"
                )
                remedy = (
                    "Those are in the files that were exported then, and can be replayed no more; "
                    f"replay ranges of offsets that have rows (frameferry records {name})"
                )
                raise ConfigError(msg, remedy=remedy, pipeline=name)


def _rowless(connection: Connection, known: Known, wanted: OffsetRange) -> int:
    """Count the offsets for which no row stands: what was pruned, markers and gaps."""
    query = select(func.count()).select_from(current).where(*_within(known, wanted))
    return wanted.length - connection.execute(query).scalar_one()


def _pruned_over(known: Known, wanted: OffsetRange) -> Select[*tuple[Any, ...]]:
    """Pick the ranges of batches that lost standing rows to pruning."""
    return (
        select(batch.c.id, batch.c.pruned_at, batch_range.c.start_offset, batch_range.c.end_offset)
        .join(batch_range, batch_range.c.batch_id == batch.c.id)
        .where(
            batch.c.pipeline_id == known.id,
            batch.c.generation == known.generation,
            batch.c.pruned_at.is_not(None),
            batch_range.c.partition == wanted.partition,
            batch_range.c.start_offset < wanted.end,
            batch_range.c.end_offset > wanted.start,
        )
        .order_by(batch_range.c.start_offset, batch.c.id)
    )


_COPIED = (
    "pipeline_id",
    "generation",
    "partition",
    "offset",
    "timestamp_ms",
    "source_name",
    "destination",
    "remote_path",
    "size_bytes",
    "sha256",
    "label",
    "score",
    "outputs",
    "judge_digest",
    "duplicate_of",
    "gap_id",
)


def _copy(connection: Connection, known: Known, batch_id: int, wanted: OffsetRange) -> None:
    """Copy the standing rows: those with a file are due again, the others keep their outcome."""
    again = record.c.outcome == "delivered"
    standing = (
        select(
            literal(batch_id),
            *(record.c[name] for name in _COPIED),
            case((again, null()), else_=record.c.outcome),
        )
        .join(current, current.c.record_id == record.c.id)
        .where(*_within(known, wanted))
        .order_by(current.c.offset)
    )
    connection.execute(insert(record).from_select(["batch_id", *_COPIED, "outcome"], standing))


def _copy_quarantines(connection: Connection, batch_id: int) -> None:
    standing = (
        select(
            record.c.id,
            quarantine.c.stage,
            quarantine.c.reason,
            quarantine.c.detail,
            quarantine.c.found_at,
            quarantine.c.held_until,
            quarantine.c.kept_copy,
        )
        .join(current, same_position())
        .join(quarantine, quarantine.c.record_id == current.c.record_id)
        .where(record.c.batch_id == batch_id, record.c.outcome == "quarantined")
    )
    columns = [
        "record_id",
        "stage",
        "reason",
        "detail",
        "found_at",
        "held_until",
        "kept_copy",
    ]
    connection.execute(insert(quarantine).from_select(columns, standing))
