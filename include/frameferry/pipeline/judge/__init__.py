"""
The infer step's inside: make the job, try it, say how far its failure is the world's.

In: a Context and a claimed batch. Out: predictions, or pieces that tile the batch.
"""
