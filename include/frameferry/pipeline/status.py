"""What a person asks first: how far is it, is it well, and what is to be done."""

from __future__ import annotations

from typing import Any

from frameferry.domain.offsets import Watermarks
from frameferry.domain.state import OpenBatch, PipelineState
from frameferry.errors import FrameferryError
from frameferry.pipeline import witness
from frameferry.pipeline.context import Context
from frameferry.planning.ranges import partition_lags


def status(ctx: Context) -> dict[str, Any]:
    """
    Describe one pipeline; the keys are those of `frameferry status --json`.

    Kafka being down is part of the answer, not an error: `end` and `lag` are None then.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    watermarks, trouble = _watermarks(ctx)
    counts = ctx.ledger.counts(ctx.pipeline)
    advice = _advice(ctx, known, watermarks, trouble)
    return {
        "pipeline": ctx.pipeline,
        "healthy": not advice,
        "advice": advice,
        "partitions": _partitions(known, watermarks),
        "open_batches": [_open_batch(leaf) for leaf in known.open_batches] if known else [],
        "batches": counts.batches,
        "records": counts.records,
        "delivered": counts.delivered,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
        "gaps": counts.gaps,
        "labels": dict(counts.labels),
        "reasons": dict(counts.reasons),
    }


def _watermarks(ctx: Context) -> tuple[dict[int, Watermarks], list[str]]:
    partitions = ctx.settings.kafka.partitions
    try:
        with ctx.cluster() as cluster:
            view = cluster.look(
                ctx.settings.kafka.topic, None if partitions == "all" else partitions
            )
    except FrameferryError as error:
        return {}, [str(error.at(pipeline=ctx.pipeline))]
    return view.watermarks, []


def _partitions(
    known: PipelineState | None, watermarks: dict[int, Watermarks]
) -> list[dict[str, int | None]]:
    progress = known.progress if known else {}
    lines: list[dict[str, int | None]] = []
    for partition in sorted({*progress, *watermarks}):
        marks, mine = watermarks.get(partition), progress.get(partition)
        committed = mine.committed if mine else None
        lag = None
        if marks is not None:
            lag = marks.end - (max(committed, marks.low) if committed is not None else marks.low)
        lines.append(
            {
                "partition": partition,
                "low": marks.low if marks else None,
                "end": marks.end if marks else None,
                "planned": mine.planned if mine else None,
                "committed": committed,
                "lag": lag,
            }
        )
    return lines


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


def _objections(ctx: Context, *, reachable: bool) -> list[str]:
    """Say where the ledger is older than the world; a silent Kafka is not asked again."""
    if not reachable:
        return []
    try:
        objection = witness.objection(ctx)
    except FrameferryError as error:
        return [str(error.at(pipeline=ctx.pipeline))]
    if objection is None:
        return []
    return [f"Nothing runs: {objection}. Run: frameferry ledger recover {ctx.pipeline}"]


def _advice(
    ctx: Context,
    known: PipelineState | None,
    watermarks: dict[int, Watermarks],
    trouble: list[str],
) -> list[str]:
    advice = list(trouble)
    if known is None:
        return [*advice, f"Nothing was planned yet. Run: frameferry run {ctx.pipeline}"]
    advice += _objections(ctx, reachable=not trouble)
    if known.blocked:
        advice.append(
            f"Blocked: {known.blocked.reason}. "
            f"Put it right, then run: frameferry unblock {ctx.pipeline}"
        )
    advice += [
        f"Batch {leaf.id} failed last: {leaf.last_error}"
        for leaf in known.open_batches
        if leaf.last_error
    ]
    advice += [
        f"{gap.end - gap.start} offsets of partition {gap.partition} from {gap.start} on "
        f"are lost ({gap.cause}). If that is all right, run: "
        f"frameferry gaps accept {gap.id} --reason …"
        for gap in ctx.ledger.gaps(ctx.pipeline)
        if gap.accepted_by is None
    ]
    advice += [
        f"An open transaction holds back {marks.held_back} offsets of partition {partition}"
        for partition, marks in sorted(watermarks.items())
        if marks.held_back and not partition_lags(known.progress, watermarks)
    ]
    return advice
