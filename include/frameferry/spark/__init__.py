"""
JUDGE, where: one job function, run warm by Spark Connect or once by spark-submit.

In: a JudgeJob (offset ranges, model, Kafka) and a Spark connection. Out: one row per image.
Can fail: SparkUnavailable, SparkOutOfMemory, JudgingFailed, KafkaUnavailable, OffsetsLost,
ModelMismatch.
"""
