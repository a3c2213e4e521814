"""
Whether this writer may write: fence, claims, epochs, who judges beside whom, log-ins.

Takes a connection and a token; refuses a write in the transaction that would have made it. Fails
with Fenced, BatchOwned, PipelineBlocked.
"""
