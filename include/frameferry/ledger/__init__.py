"""
REMEMBER: the ledger, whose constraints are the guarantees. The only store of facts.

In: tokens, predictions, receipts, censuses. Out: batches, progress, listings, in `domain` words.
Can fail: Fenced, BatchOwned, PlanStale, BatchUnfinished, LedgerUnavailable, LedgerConflict.
"""
