"""
ASK and READ: watermarks of a topic; one offset range, read to its end by position; group mirror.

Processes that serve others ask through envoys, which librdkafka may end.

In: KafkaConnection, topic, OffsetRange. Out: TopicView, ImageRecord, Census.
Can fail: KafkaUnavailable (says what really happened), TopicMissing, TopicCompacted, OffsetsLost.
"""
