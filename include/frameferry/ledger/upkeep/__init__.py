"""
What is done to the ledger as a whole: back up, restore, copy, prune, export, recover.

Takes a database or a file of one; writes whole files, or none. Fails with LedgerConflict,
ConfigError.
"""
