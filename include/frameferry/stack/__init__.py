"""
Real servers on loopback, no Docker needed: Kafka, Spark Connect, FTP, Airflow, for demo and tests.

In: a home folder, the cache's jars. Out: running processes, and `stack.json`: how to reach them.
Can fail: StackError, with the log's name and its last lines.
"""
