"""What a person asks first: how far is it, is it well, and what is to be done."""

from __future__ import annotations

from datetime import timedelta

from frameferry.domain.state import BatchRow, OpenBatch, Overview
from frameferry.domain.status import (
    Backlog,
    BatchState,
    LabelShare,
    LastBatch,
    OpenBatchStatus,
    PartitionStatus,
    Status,
)
from frameferry.operations.advice import advice, unowned_partitions
from frameferry.operations.alarms import Figures
from frameferry.operations.shares import label_shares
from frameferry.operations.watching import LOOKS, Seen, see
from frameferry.pipeline.context import Context

_HOUR, _MINUTE = 3600, 60


def status(ctx: Context) -> Status:
    """
    Say how one pipeline is.

    Kafka being down is part of the answer, not an error: what it would have said is None then.

    Raises:
        LedgerUnavailable: The ledger does not answer; nothing is known without it.
    """
    # The ledger first: what another process plans meanwhile must not look like a log's end.
    recent = timedelta(hours=ctx.settings.watch.drift_hours)
    overview = ctx.ledger.overview(ctx.pipeline, recent=recent, looks=LOOKS)
    seen = see(ctx, overview)
    unowned = unowned_partitions(ctx, overview, seen)
    return Status(
        pipeline=ctx.pipeline,
        alarms=advice(ctx, overview, seen, unowned=unowned or ()),
        partitions=_partitions(overview, seen),
        unowned_partitions=unowned,
        backlog=_backlog(seen.figures),
        open_batches=_open_batches(overview),
        last_batch=_last_batch(overview.last_batch),
        last_delivered_at=overview.delivered_at,
        pictures_last_hour=overview.last_hour.pictures,
        quarantined_last_hour=overview.last_hour.quarantined,
        label_shares=_label_shares(overview),
        counts=overview.counts,
    )


def _partitions(overview: Overview, seen: Seen) -> tuple[PartitionStatus, ...]:
    known = overview.state.progress if overview.state else {}
    return tuple(
        _partition(partition, overview, seen) for partition in sorted({*known, *seen.watermarks})
    )


def _partition(partition: int, overview: Overview, seen: Seen) -> PartitionStatus:
    marks = seen.watermarks.get(partition)
    mine = overview.state.progress.get(partition) if overview.state else None
    committed = mine.committed if mine else None
    return PartitionStatus(
        partition=partition,
        low=marks.low if marks else None,
        end=marks.end if marks else None,
        planned=mine.planned if mine else None,
        committed=committed,
        lag=max(marks.end - max(committed or 0, marks.low), 0) if marks else None,
        held_back=marks.held_back if marks else None,
        held_back_since=seen.held_since.get(partition),
    )


def _backlog(figures: Figures) -> Backlog:
    return Backlog(
        oldest_at=figures.oldest_at,
        oldest_minutes=_over(figures.oldest_seconds, _MINUTE),
        retention_hours_left=_over(figures.expires_in_seconds, _HOUR),
        arrivals_per_second=figures.arrivals_per_second,
        service_per_second=figures.service_per_second,
    )


def _over(seconds: float | None, unit: int) -> float | None:
    return None if seconds is None else seconds / unit


def _open_batches(overview: Overview) -> tuple[OpenBatchStatus, ...]:
    leaves = overview.state.open_batches if overview.state else ()
    return tuple(
        OpenBatchStatus(
            batch=leaf.id,
            kind=leaf.kind,
            ranges=leaf.ranges,
            state=_state(leaf),
            sentence=leaf.sentence,
            last_error=leaf.last_error,
            retry_at=leaf.retry_at,
        )
        for leaf in leaves
    )


def _state(leaf: OpenBatch) -> BatchState:
    if leaf.finished:
        return BatchState.WAITING if leaf.held_by_gap else BatchState.DELIVERED
    if leaf.is_stopped:
        return BatchState.STOPPED
    return BatchState.JUDGED if leaf.inferred else BatchState.PLANNED


def _label_shares(overview: Overview) -> tuple[LabelShare, ...]:
    shares = label_shares(overview.recent, overview.before)
    return tuple(LabelShare(label, share, was) for label, (share, was) in shares.items())


def _last_batch(last: BatchRow | None) -> LastBatch | None:
    if last is None:
        return None
    return LastBatch(batch=last.id, planned_at=last.planned_at, sentence=last.sentence)
