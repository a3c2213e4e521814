"""
What became of each image: its prediction, its name, its intent, its answer.

Takes a connection, a token and values of `domain`; one row stands for an image. Fails with
Fenced, PredictionsIncomplete, LedgerConflict.
"""
