"""
JUDGE, what: image bytes to a label, by a model and its card. No Spark in it.

In: a model with its `card.yaml`, and values from Kafka. Out: one verdict per picture.
Can fail: ModelMismatch (the model does not fit its card, or changed); a bad picture is not
a failure but a verdict with a reason. TensorFlow is imported only inside functions.
"""
