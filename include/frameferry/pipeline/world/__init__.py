"""
What Kafka and the mirror say now, beside what the ledger remembers.

In: a Context. Out: what may be believed, or why nothing may. Writes only what was found out.
"""
