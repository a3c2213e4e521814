"""
OPERATIONS, trying: local files, judged as a pipeline would judge them; and a model's first card.

In: a pipeline's settings and files, or a model. Out: rows, a page, a card to fill in. Can fail:
ConfigError (a file cannot be read or written), ModelMismatch, JudgingFailed.
"""
