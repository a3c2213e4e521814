"""Is there work that can be taken now? The one answer that both `wait` and `plan` act on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from frameferry.domain.offsets import Progress, Watermarks
from frameferry.domain.state import OpenBatch, PipelineState, Readiness
from frameferry.domain.wording import counted, in_time
from frameferry.planning.gaps import find_gaps, find_truncated
from frameferry.planning.ranges import partition_lags


def readiness(
    state: PipelineState | None, watermarks: Mapping[int, Watermarks], *, max_open: int
) -> Readiness:
    """
    Say whether planning a run would find anything to do *now*.

    Work is a leaf that nothing holds, or lag (or a gap to record) while another batch may be
    opened. What is held by a block, a back-off, another's lease or an unaccepted gap is not work: a
    run for it would end at once and begin again, for ever.

    Args:
        state: None before the pipeline's first plan, which is work.
        watermarks: Of the pipeline's partitions; one without progress counts from offset 0.
        max_open: Roots that may be open at once.
    """
    if state is None:
        return Readiness(now=True, reason="not planned yet", retry_in_seconds=0)
    if state.blocked:
        return Readiness(
            now=False, reason=f"blocked: {state.blocked.reason}", retry_in_seconds=None
        )
    if leaves := leaves_to_take(state):
        reason = f"{counted(len(leaves), 'open leaf', 'open leaves')} to go on with"
        return Readiness(now=True, reason=reason, retry_in_seconds=0)
    return _new_work(state, watermarks, max_open)


def leaves_to_take(state: PipelineState) -> tuple[OpenBatch, ...]:
    """
    List the leaves that nothing holds, oldest first; none of a replay that was stopped.

    A replay has a run of its own, but the pieces of one that was split have none, and so are
    listed. So is a finished leaf that can be committed: its run died in between.
    """
    return tuple(
        leaf
        for leaf in sorted(state.open_batches, key=lambda leaf: leaf.id)
        if _has_no_run_of_its_own(leaf)
        and not leaf.held_by_gap
        and not _held_until(leaf, state.now)
    )


def _has_no_run_of_its_own(leaf: OpenBatch) -> bool:
    return (leaf.kind == "live" or leaf.is_piece) and not leaf.is_stopped


def may_open(state: PipelineState, max_open: int) -> bool:
    """Say whether another root may be planned; one that waits only for a gap does not count."""
    return len(_open_roots(state)) < max_open


def progress_to_plan(
    state: PipelineState, watermarks: Mapping[int, Watermarks]
) -> dict[int, Progress]:
    """
    Complete the progress with partitions first seen now.

    They begin at 0, not at their low watermark: what lies between was never read and is a gap.
    """
    fresh = {partition: Progress(partition, 0, 0) for partition in watermarks}
    return {**fresh, **state.progress}


def _new_work(
    state: PipelineState, watermarks: Mapping[int, Watermarks], max_open: int
) -> Readiness:
    progress = progress_to_plan(state, watermarks)
    lag = sum(partition_lags(progress, watermarks).values())
    gaps = find_gaps(progress, watermarks)
    if not lag and not gaps:
        return _waiting(state, _why_no_lag(state, progress, watermarks))
    if not may_open(state, max_open):
        roots = counted(len(_open_roots(state)), "open batch", "open batches")
        return _waiting(state, f"lag {lag:,}, but {roots} held back (max_open {max_open})")
    reason = f"lag {lag:,}" if lag else f"a gap to record: {gaps[0]}"
    return Readiness(now=True, reason=reason, retry_in_seconds=0)


def _waiting(state: PipelineState, reason: str) -> Readiness:
    """Say no, with what holds the leaves and when the first of them comes free."""
    holds = [
        (until, leaf)
        for leaf in state.open_batches
        if _has_no_run_of_its_own(leaf)
        and not leaf.held_by_gap
        and (until := _held_until(leaf, state.now))
    ]
    held_by_gap = [leaf.id for leaf in state.open_batches if leaf.held_by_gap]
    if held_by_gap:
        reason += f"; batch {held_by_gap[0]} is finished and waits for a gap or an earlier batch"
    if not holds:
        return Readiness(now=False, reason=reason, retry_in_seconds=None)
    until, leaf = min(holds, key=lambda hold: hold[0])
    seconds = (until - state.now).total_seconds()
    reason += f"; batch {leaf.id} {_hold(leaf, until)} for {in_time(seconds)} more"
    return Readiness(now=False, reason=reason, retry_in_seconds=seconds)


def _why_no_lag(
    state: PipelineState, progress: Mapping[int, Progress], watermarks: Mapping[int, Watermarks]
) -> str:
    if cut := find_truncated(progress, watermarks):
        partition = cut[0]
        return (
            f"partition {partition} ends at {watermarks[partition].high:,}, below its planned "
            f"offset {progress[partition].planned:,}: truncated, or its topic was created anew"
        )
    held_back = sum(marks.held_back for marks in watermarks.values())
    # What is planned and not committed still lags: wait for its batches.
    nothing = "all is planned" if state.open_batches else "no lag"
    if held_back:
        return f"{nothing}; an open transaction holds back {counted(held_back, 'offset')}"
    return nothing


def _hold(leaf: OpenBatch, until: datetime) -> str:
    return "backs off" if until == leaf.retry_at else "is leased"


def _held_until(leaf: OpenBatch, now: datetime) -> datetime | None:
    """Find when the later of back-off and lease is over; None if both are."""
    moments = [moment for moment in (leaf.retry_at, leaf.leased_until) if moment and moment > now]
    return max(moments, default=None)


def _open_roots(state: PipelineState) -> set[int]:
    return {
        leaf.root_id for leaf in state.open_batches if leaf.kind == "live" and not leaf.held_by_gap
    }
