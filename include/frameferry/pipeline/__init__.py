"""
The steps, on one page: the only importer of the stages.

In: a Context (settings, ledger, resolver) and a batch's id. Out: rows in the ledger, files on FTP.
Can fail: any FrameferryError, with pipeline and batch named; the step may then be run again.
"""
