"""
JUDGE, what a model's numbers mean: each output of a model by its kind, as the card states it.

In: tensors by name, batch first. Out: one finding per picture and output. Can fail: nothing; an
output that does not fit is a sentence, a picture's odd numbers are a NoAnswer.
"""
