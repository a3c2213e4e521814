"""
Look at a whole installation, and say of each part whether it is well and what to do.

In: the pipelines' files, their connections, the ledger. Out: signs. Can fail: nothing that is
broken is an error here; only that there is no folder of pipeline files.
"""
