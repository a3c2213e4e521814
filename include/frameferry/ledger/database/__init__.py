"""
How rows are kept: engines, transactions, the tables and their migrations.

Takes a URL and statements; knows of no batch and no offset. Fails with LedgerUnavailable,
LedgerConflict.
"""
