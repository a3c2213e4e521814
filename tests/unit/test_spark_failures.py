"""Spark's traces, as they were seen, become one sentence and the right kind of error."""

from __future__ import annotations

import pytest

from frameferry.errors import (
    ConfigError,
    FrameferryError,
    JudgingFailed,
    KafkaUnavailable,
    ModelMismatch,
    OffsetsLost,
    SparkUnavailable,
)
from frameferry.spark.failures import failure

URL = "sc://127.0.0.1:15002"
WORKER = """\

  An exception was thrown from the Python worker. Please see the stack trace below.
[PYTHON_EXCEPTION] An exception was thrown from the Python worker: \
Traceback (most recent call last):
  File "include/frameferry/spark/worker.py", line 51, in _judge_batches
    yield _judged(load_judge(settings), batch.slice(start, SUB_BATCH_IMAGES))
                  ^^^^^^^^^^^^^^^^^^^^
{raised}
 SQLSTATE: 38000
"""
DRIVER = """\
Traceback (most recent call last):
  File "spark_jobs/infer_batch.py", line 29, in <module>
    main(*sys.argv[1:])
  File "py4j/protocol.py", line 327, in get_return_value
py4j.protocol.Py4JJavaError: An error occurred while calling o84.getResult.
: org.apache.spark.SparkException: Exception thrown in awaitResult: \n\
\tat org.apache.spark.util.SparkThreadUtils$.awaitResult(SparkThreadUtils.scala:70)
{cause}
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
LOSS = """\
org.apache.spark.sql.kafka010.KafkaIllegalStateException{colon} Some data may have been lost \
because they are not available in Kafka any more;
either the data was aged out by Kafka or the topic may have been deleted before all the data in the
topic was processed.
If you don't want your streaming query to fail on such cases, set the source option \
failOnDataLoss to false.
Reason: Could not read records in offset [60, 70) for topic partition plain-0
with consumer group spark-kafka-relation-1d550150.
"""
CANCELLED = (
    "(org.apache.spark.SparkSQLException) [OPERATION_CANCELED] Operation has been canceled. "
    "SQLSTATE: HY008"
)
CRASHED = (
    "Job aborted due to stage failure: Task 0 in stage 13.0 failed 1 times, most recent failure: "
    "Lost task 0.0 in stage 13.0 (TID 71) (localhost executor driver): "
    "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed). Consider "
    "setting 'spark.sql.execution.pyspark.udf.faulthandler.enabled'\n\tat org.apache.spark.api"
)
NO_TOPIC = (
    "(java.util.concurrent.ExecutionException) org.apache.kafka.common.errors."
    "UnknownTopicOrPartitionException: This server does not host this topic-partition.\n\n"
    "JVM stacktrace:\njava.util.concurrent.ExecutionException\n\tat java.util.concurrent"
)
NO_BROKER = (
    "(java.util.concurrent.ExecutionException) org.apache.kafka.common.errors.TimeoutException: "
    "Timed out waiting for a node assignment. Call: listNodes\n\nJVM stacktrace:\n"
)
NO_PARTITION = (
    "(org.apache.spark.sql.kafka010.KafkaIllegalStateException) Partitions specified for Kafka "
    "start offsets don't match what are assigned. Maybe topic partitions are created \nor deleted"
)
NO_FETCH = DRIVER.format(
    cause="Caused by: java.util.concurrent.TimeoutException: Cannot fetch record for offset 7 in "
    "30000 milliseconds"
)
CORRUPT = DRIVER.format(
    cause="Caused by: org.apache.kafka.common.errors.CorruptRecordException: Record size 5 is less "
    "than the minimum record overhead"
)
GONE = """\
<_MultiThreadedRendezvous of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "failed to connect to all addresses; last error: Connection refused"
\tdebug_error_string = "UNAVAILABLE:failed to connect to all addresses"
>
"""
CLOSED = (
    "(org.apache.spark.SparkSQLException) [INVALID_HANDLE.SESSION_CLOSED] The handle 30515901 is "
    "invalid. Session was closed. SQLSTATE: HY000"
)
NO_JARS = (
    "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: kafka. Make sure the provider name "
    "is correct and the package is properly registered."
)
NO_MASTER = (
    "WARNING: Using incubator modules: jdk.incubator.vector\n"
    "26/11/23 22:27:43 WARN Utils: Your hostname resolves to a loopback address\n"
    'Exception in thread "main" org.apache.spark.SparkException: Master must either be yarn or '
    "start with spark, k8s, or local\n\tat org.apache.spark.deploy.SparkSubmit.error"
)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (WORKER.format(raised="ValueError: boom"), JudgingFailed, "ValueError: boom"),
        (DRIVER.format(cause="Caused by: a.b.C: heap is full"), JudgingFailed, "heap is full"),
        (CRASHED, JudgingFailed, "a Python worker died while it judged"),
        (CANCELLED, JudgingFailed, "it was interrupted, by a newer attempt or a person"),
        (NO_MASTER, JudgingFailed, "Master must either be yarn or start with spark, k8s, or local"),
        ("", JudgingFailed, "no reason was given"),
        (LOSS.format(colon=")"), OffsetsLost, "Could not read records in offset [60, 70)"),
        (
            DRIVER.format(cause=f"Caused by: {LOSS.format(colon=':')}"),
            OffsetsLost,
            "Could not read records in offset [60, 70)",
        ),
        (NO_TOPIC, KafkaUnavailable, "This server does not host this topic-partition"),
        (NO_BROKER, KafkaUnavailable, "Timed out waiting for a node assignment"),
        (NO_FETCH, KafkaUnavailable, "Cannot fetch record for offset 7 in 30000 milliseconds"),
        (CORRUPT, KafkaUnavailable, "kafka-delete-records.sh"),
        (NO_PARTITION, KafkaUnavailable, "Partitions specified for Kafka start offsets"),
        (GONE, SparkUnavailable, "failed to connect to all addresses; last error: Connection"),
        (CLOSED, SparkUnavailable, "Session was closed"),
        ("[NO_ACTIVE_SESSION] No active Spark session found.", SparkUnavailable, "No active"),
        ("JAVA_HOME is not set", SparkUnavailable, "Java 17 or 21"),
        (NO_JARS, ConfigError, "FRAMEFERRY_JARS"),
        (
            WORKER.format(raised="ModuleNotFoundError: No module named 'frameferry'"),
            ConfigError,
            "Install frameferry in the Python that Spark's workers use",
        ),
    ],
)
def test_a_trace_becomes_its_meaning_and_one_sentence(
    text: str, kind: type[FrameferryError], sentence: str
) -> None:
    error = failure(text, url=URL)
    assert kind is type(error)
    assert sentence in str(error)
    assert "\n" not in str(error)
    assert "\tat " not in str(error)
    assert len(str(error)) < 700


@pytest.mark.parametrize("frame", [WORKER, DRIVER.replace("{cause}", WORKER.replace("{", "{"))])
def test_a_worker_that_finds_another_model_says_so(frame: str) -> None:
    raised = "frameferry.errors.ModelMismatch: model m: its input is 32 x 32 x 3. Mend the card"
    error = failure(frame.format(raised=raised), url=URL)
    assert ModelMismatch is type(error)
    assert str(error) == "model m: its input is 32 x 32 x 3. Mend the card"


def test_words_in_what_a_worker_raised_do_not_name_a_culprit() -> None:
    raised = "OSError: org.apache.kafka.common.errors and Socket closed, data may have been lost"
    assert JudgingFailed is type(failure(WORKER.format(raised=raised), url=URL))


def test_secrets_are_struck_out() -> None:
    text = 'KafkaException: password="sesame-open" was refused by sesame-open'
    error = failure(text, url=URL, secrets=["sesame-open"])
    assert "sesame" not in str(error)
    assert "***" in str(error)
