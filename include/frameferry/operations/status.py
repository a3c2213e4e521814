"""What a person asks first: how far is it, is it well, and what is to be done."""

from __future__ import annotations

from typing import Any

from frameferry.domain.state import OpenBatch, PipelineState
from frameferry.operations.advice import advice, unowned_partitions
from frameferry.operations.alarms import Figures
from frameferry.operations.watching import Seen, see
from frameferry.pipeline.context import Context


def status(ctx: Context) -> dict[str, Any]:
    """
    Describe one pipeline; the keys are those of `frameferry status --json`.

    Kafka being down is part of the answer, not an error: `end`, `lag` and the figures of the
    backlog are None then.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    seen = see(ctx, known)
    counts = ctx.ledger.counts(ctx.pipeline)
    unowned = unowned_partitions(ctx, known, seen)
    said = advice(ctx, known, seen, unowned=unowned)
    return {
        "pipeline": ctx.pipeline,
        "healthy": not said,
        "advice": said,
        "partitions": _partitions(known, seen),
        "unowned_partitions": list(unowned),
        **_backlog(seen.figures),
        "open_batches": [_open_batch(leaf) for leaf in known.open_batches] if known else [],
        "last_batch": _last_batch(ctx),
        "batches": counts.batches,
        "records": counts.records,
        "delivered": counts.delivered,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
        "gaps": counts.gaps,
        "labels": dict(counts.labels),
        "reasons": dict(counts.reasons),
    }


def _partitions(known: PipelineState | None, seen: Seen) -> list[dict[str, Any]]:
    progress = known.progress if known else {}
    lines: list[dict[str, Any]] = []
    for partition in sorted({*progress, *seen.watermarks}):
        marks, mine = seen.watermarks.get(partition), progress.get(partition)
        committed = mine.committed if mine else None
        since = seen.held_since.get(partition)
        lines.append(
            {
                "partition": partition,
                "low": marks.low if marks else None,
                "end": marks.end if marks else None,
                "planned": mine.planned if mine else None,
                "committed": committed,
                "lag": max(marks.end - max(committed or 0, marks.low), 0) if marks else None,
                "held_back": marks.held_back if marks else None,
                "held_back_since": since.isoformat() if since else None,
            }
        )
    return lines


def _backlog(figures: Figures) -> dict[str, Any]:
    expires_in = figures.expires_in_seconds
    return {
        "oldest_at": figures.oldest_at.isoformat() if figures.oldest_at else None,
        "oldest_minutes": _over(figures.oldest_seconds, 60),
        "retention_hours_left": _over(expires_in, 3600),
        "arrivals_per_second": _over(figures.arrivals_per_second, 1),
        "service_per_second": _over(figures.service_per_second, 1),
    }


def _over(value: float | None, unit: float) -> float | None:
    return None if value is None else round(value / unit, 3)


def _open_batch(leaf: OpenBatch) -> dict[str, Any]:
    return {
        "batch": leaf.id,
        "kind": leaf.kind,
        "ranges": [str(wanted) for wanted in leaf.ranges],
        "state": _state(leaf),
        "sentence": leaf.sentence,
        "last_error": leaf.last_error,
        "retry_at": leaf.retry_at.isoformat() if leaf.retry_at else None,
    }


def _state(leaf: OpenBatch) -> str:
    if leaf.finished:
        return "waiting for a gap or an earlier batch" if leaf.held_by_gap else "delivered"
    return "judged" if leaf.inferred else "planned"


def _last_batch(ctx: Context) -> dict[str, Any] | None:
    """Tell the newest batch's size and why it has that, also long after it was committed."""
    for last in ctx.ledger.last_batches(ctx.pipeline, 1):
        return {
            "batch": last.id,
            "planned_at": last.planned_at.isoformat(),
            "sentence": last.sentence,
        }
    return None
