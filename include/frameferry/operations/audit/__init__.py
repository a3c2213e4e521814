"""
Compare Kafka, the ledger and the FTP server after the fact.

In: a context and what is wished of the audit. Out: a report, and replays that repair.
"""
