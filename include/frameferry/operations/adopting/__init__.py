"""
Begin a pipeline exactly where another system stopped.

In: what that system wrote down. Out: a pipeline in the ledger, at its offsets. Can fail:
ConfigError, LedgerConflict; then nothing was moved.
"""
