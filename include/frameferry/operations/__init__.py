"""
What people ask and do: status, check, probe, replay, recover, confirm, accept, unblock, upkeep.

In: a Context, or the home's ledger, and a person's words. Out: values to show, rows in the ledger.
Can fail: any FrameferryError. The road of a batch (`pipeline`) calls none of it.
"""
