"""
The deliver step's inside: read again, group, publish, take log-ins in turn, sweep.

In: a Context and a claimed batch that is judged. Out: receipts, refusals, a census.
"""
