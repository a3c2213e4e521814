"""
The road of a batch: the steps on one page, and what they are made of.

In: a Context (settings, ledger, resolver) and a batch's id. Out: rows in the ledger, files on FTP.
Can fail: any FrameferryError, with pipeline and batch named; the step may then be run again.
"""
