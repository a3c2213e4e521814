"""
PLAN: progress, watermarks and a budget become frozen offset ranges. Pure: no clock, no I/O.

In: PipelineState, Watermarks, Budget, BatchCost. Out: OffsetRange tuples, Pace, Sizing, Gap,
Readiness. Can fail: nothing of the world; ValueError if a caller breaks a bound.
"""
