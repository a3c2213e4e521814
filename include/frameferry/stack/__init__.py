"""
Real servers on loopback without Docker: Kafka, Spark Connect, FTP and Airflow, for demo and tests.

In: a home folder, the jars of the cache. Out: running processes and `stack.json`, how to reach them.
Can fail: StackError, with the log's name and its last lines.
"""
