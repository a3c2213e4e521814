"""What people ask of the ledger: counts, quarantine, the last batches. Records: see `searching`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import UNJUDGED
from frameferry.domain.state import BatchRow, Counts, QuarantineRow
from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, current, gap, quarantine, record
from frameferry.ledger.guards.claims import ranges_of
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline
from frameferry.ledger.progress.tallies import totals

_HAS_A_FILE = ("delivered", "duplicate")
_NOTHING = Counts(
    records=0,
    delivered=0,
    duplicates=0,
    quarantined=0,
    resolved=0,
    kept=0,
    gaps=0,
    batches=0,
    labels={},
    reasons={},
)


def counts(connection: Connection, name: str) -> Counts:
    """Count the rows that stand; all zero if the pipeline is not registered."""
    key = find_pipeline(connection, name)
    if key is None:
        return _NOTHING
    outcomes: Counter[str | None] = Counter()
    labels: Counter[str] = Counter()
    for outcome, label, number in totals(connection, key):
        outcomes[outcome] += number
        if outcome in _HAS_A_FILE:
            labels[label or UNJUDGED] += number
    reasons, kept = _reasons(connection, key)
    return Counts(
        records=outcomes.total(),
        delivered=outcomes["delivered"],
        duplicates=outcomes["duplicate"],
        quarantined=outcomes["quarantined"],
        resolved=outcomes["quarantined"] - sum(reasons.values()),
        kept=kept,
        gaps=_lost(connection, key),
        batches=_leaves(connection, key),
        labels=dict(sorted(labels.items())),
        reasons=reasons,
    )


def quarantined(
    connection: Connection, name: str, *, with_resolved: bool = False
) -> list[QuarantineRow]:
    """List the quarantined rows that stand, by partition and offset; resolved ones if asked for."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    listed = _ever_quarantined if with_resolved else _quarantined
    query = listed(
        key,
        record.c.partition,
        record.c.offset,
        quarantine.c.stage,
        quarantine.c.reason,
        quarantine.c.detail,
        record.c.batch_id,
        quarantine.c.found_at,
        quarantine.c.resolved_at,
        quarantine.c.resolved_by,
        quarantine.c.resolved_how,
    ).order_by(record.c.partition, record.c.offset)
    return [QuarantineRow(*row) for row in connection.execute(query)]


def count_standing(
    connection: Connection, name: str, ranges: Sequence[OffsetRange]
) -> tuple[int, int]:
    """Count the standing rows of ranges: (delivered, quarantined)."""
    key = find_pipeline(connection, name)
    if key is None:
        return 0, 0
    outcomes: Counter[str | None] = Counter()
    for wanted in ranges:
        query = _by_outcome_and_label(key).where(_inside(key, wanted))
        for outcome, _, number in connection.execute(query):
            outcomes[outcome] += number
    return outcomes["delivered"], outcomes["quarantined"]


def standing_bytes(
    connection: Connection, name: str, ranges: Sequence[OffsetRange], outcomes: Sequence[str]
) -> int:
    """Add up the bytes of the standing rows of ranges that have one of these outcomes."""
    key = find_pipeline(connection, name)
    if key is None:
        return 0
    total = standing(key, func.coalesce(func.sum(record.c.size_bytes), 0))
    total = total.where(record.c.outcome.in_(outcomes))
    return sum(
        int(connection.execute(total.where(_inside(key, wanted))).scalar_one()) for wanted in ranges
    )


def _inside(key: PipelineKey, wanted: OffsetRange) -> ColumnElement[bool]:
    return (
        (current.c.generation == key.generation)
        & (current.c.partition == wanted.partition)
        & (current.c.offset >= wanted.start)
        & (current.c.offset < wanted.end)
    )


def last_batches(connection: Connection, name: str, limit: int = 20) -> list[BatchRow]:
    """List the newest batches first; one that was split is shown by its children."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(batch)
        .where(batch.c.pipeline_id == key.id, batch.c.split_at.is_(None))
        .order_by(batch.c.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    ranges = ranges_of(connection, [row.id for row in rows])
    return [_batch_row(row, ranges[row.id]) for row in rows]


def unfinished(connection: Connection, name: str, batch_ids: Sequence[int]) -> list[int]:
    """Pick those of the batches that have no census, in the order given."""
    key = find_pipeline(connection, name)
    if key is None:
        return list(batch_ids)
    query = select(batch.c.id).where(
        batch.c.id.in_(as_set(connection, batch_ids)),
        batch.c.pipeline_id == key.id,
        batch.c.delivered_at.is_not(None) | batch.c.split_at.is_not(None),
    )
    done = set(connection.scalars(query))
    return [batch_id for batch_id in batch_ids if batch_id not in done]


def standing(key: PipelineKey, *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
    """Select from the rows that stand for a pipeline's offsets, of all its generations."""
    generations = range(1, key.generation + 1)
    return (
        select(*columns)
        .select_from(current)
        .join(record, record.c.id == current.c.record_id)
        .where(current.c.pipeline_id == key.id, current.c.generation.in_(generations))
    )


def _quarantined(key: PipelineKey, *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
    """Select from the standing rows whose quarantine is not resolved."""
    return _ever_quarantined(key, *columns).where(quarantine.c.resolved_at.is_(None))


def _ever_quarantined(key: PipelineKey, *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
    """
    Select from the standing rows in quarantine, beginning at the quarantines.

    The sum keeps planners from walking all of a pipeline's records instead.
    """
    return (
        select(*columns)
        .select_from(quarantine)
        .join(record, record.c.id == quarantine.c.record_id)
        .join(current, current.c.record_id == record.c.id)
        .where(record.c.pipeline_id + 0 == key.id)
    )


def _by_outcome_and_label(key: PipelineKey) -> Select[Any]:
    by = (record.c.outcome, record.c.label)
    return standing(key, *by, func.count()).group_by(*by)


def _reasons(connection: Connection, key: PipelineKey) -> tuple[dict[str, int], int]:
    """Count what is open in quarantine: by reason, and how many have a kept copy."""
    columns = (quarantine.c.reason, func.count(), func.count(quarantine.c.kept_copy))
    query = _quarantined(key, *columns).group_by(quarantine.c.reason)
    rows = connection.execute(query.order_by(quarantine.c.reason)).all()
    return {reason: number for reason, number, _ in rows}, sum(kept for *_, kept in rows)


def _lost(connection: Connection, key: PipelineKey) -> int:
    query = select(func.coalesce(func.sum(gap.c.end_offset - gap.c.start_offset), 0)).where(
        gap.c.pipeline_id == key.id, gap.c.accepted_by.is_(None)
    )
    return int(connection.execute(query).scalar_one())


def _leaves(connection: Connection, key: PipelineKey) -> int:
    query = select(func.count()).where(batch.c.pipeline_id == key.id, batch.c.split_at.is_(None))
    return connection.execute(query).scalar_one()


def _batch_row(row: AnyRow, ranges: tuple[OffsetRange, ...]) -> BatchRow:
    return BatchRow(
        id=row.id,
        kind=row.kind,
        ranges=ranges,
        sentence=row.sentence,
        attempt=row.attempt,
        planned_at=row.planned_at,
        inferred_at=row.inferred_at,
        delivered_at=row.delivered_at,
        committed_at=row.committed_at,
        record_count=row.record_count,
        byte_count=row.byte_count,
        last_error=row.last_error,
    )


def remark(connection: Connection, name: str) -> tuple[int, str] | None:
    """Read what was remarked on most pictures of the last judged batch: (batch, words)."""
    key = find_pipeline(connection, name)
    if key is None:
        return None
    query = select(batch.c.id, batch.c.remark).where(
        batch.c.pipeline_id == key.id, batch.c.kind == "live", batch.c.inferred_at.is_not(None)
    )
    row = connection.execute(query.order_by(batch.c.id.desc()).limit(1)).one_or_none()
    return None if row is None or row.remark is None else (row.id, row.remark)
