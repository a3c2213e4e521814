"""
How far a pipeline is: its offsets and batches, from planned to committed.

Takes a connection, ranges and tokens; moves offsets by comparing first. Fails with
PlanStale, BatchUnfinished, LedgerConflict.
"""
