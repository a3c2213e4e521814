"""Spark's traces, as they were seen, become one sentence and the right kind of error."""

from __future__ import annotations

import pytest

from frameferry.errors import (
    BatchTooBig,
    ConfigError,
    FrameferryError,
    JudgingFailed,
    KafkaUnavailable,
    ModelMismatch,
    OffsetsLost,
    SparkOutOfMemory,
    SparkUnavailable,
)
from frameferry.spark.crossing import WorkerError
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
GONE = """\
<_MultiThreadedRendezvous of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "failed to connect to all addresses; last error: Connection refused"
\tdebug_error_string = "UNAVAILABLE:failed to connect to all addresses"
>
"""
OOM = "(java.lang.OutOfMemoryError) Java heap space\n\nJVM stacktrace:\n\tat java.util.Arrays"
TOO_MANY_ROWS = (
    "(org.apache.spark.SparkException) Job aborted due to stage failure: Total size of serialized "
    "results of 1 tasks (2.2 MiB) is bigger than spark.driver.maxResultSize (1024.0 KiB)"
)
CLOSED = (
    "(org.apache.spark.SparkSQLException) [INVALID_HANDLE.SESSION_CLOSED] The handle 30515901 is "
    "invalid. Session was closed. SQLSTATE: HY000"
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
        (OOM, SparkOutOfMemory, "spark.driver.memory"),
        (DRIVER.format(cause=f"Caused by: {OOM}"), SparkOutOfMemory, "Java heap space"),
        (TOO_MANY_ROWS, SparkOutOfMemory, "Raise spark.driver.maxResultSize"),
        (GONE, SparkUnavailable, "failed to connect to all addresses; last error: Connection"),
        (CLOSED, SparkUnavailable, "Session was closed"),
        ("[NO_ACTIVE_SESSION] No active Spark session found.", SparkUnavailable, "No active"),
        ("JAVA_HOME is not set", SparkUnavailable, "Java 17 or 21"),
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
@pytest.mark.parametrize(
    "ours",
    [
        ModelMismatch("model m: its input is\n32 x 32 x 3", remedy="Mend the card"),
        OffsetsLost("5 to 9 expired unread", partition=3, offset=5),
        BatchTooBig(
            'the "batch" passes {4,500} bytes', remedy="It is split", partition=0, offset=4
        ),
        KafkaUnavailable("an open transaction holds back 3 offsets", topic="press 도장"),
    ],
)
def test_an_error_of_ours_crosses_spark_as_it_was(frame: str, ours: FrameferryError) -> None:
    raised = f"frameferry.spark.crossing.WorkerError: {WorkerError(ours)}"
    error = failure(frame.format(raised=raised), url=URL)
    assert type(ours) is type(error)
    assert ours.content() == error.content()


def test_half_of_an_error_of_ours_is_still_a_failure() -> None:
    raised = str(WorkerError(OffsetsLost("5 to 9 expired unread")))[:40]
    assert JudgingFailed is type(failure(WORKER.format(raised=raised), url=URL))


def test_half_of_an_error_before_the_whole_one_does_not_hide_it() -> None:
    ours = BatchTooBig("4,500 bytes", partition=0, offset=4)
    raised = f"{str(WorkerError(ours))[:60]}...\n{WorkerError(ours)} and so on"
    error = failure(WORKER.format(raised=raised), url=URL)
    assert (BatchTooBig, ours.content()) == (type(error), error.content())


def test_what_workers_of_another_version_raise_is_said() -> None:
    raised = str(WorkerError(OffsetsLost("5 to 9 expired"))).replace("OffsetsLost", "OffsetsGone")
    error = failure(WORKER.format(raised=raised), url=URL)
    assert ConfigError is type(error)
    assert "OffsetsGone: 5 to 9 expired" in error.what
    assert "same version" in error.remedy


def test_words_in_what_a_worker_raised_do_not_name_a_culprit() -> None:
    raised = "OSError: org.apache.kafka.common.errors and Socket closed, data may have been lost"
    assert JudgingFailed is type(failure(WORKER.format(raised=raised), url=URL))


def test_secrets_are_struck_out() -> None:
    text = 'KafkaException: password="sesame-open" was refused by sesame-open'
    error = failure(text, url=URL, secrets=["sesame-open"])
    assert "sesame" not in str(error)
    assert "***" in str(error)


@pytest.mark.parametrize("secret", ["sésame", 'open "it"', "a\\b", "what", "4", "OffsetsLost"])
def test_secrets_are_struck_out_of_what_crosses_however_json_spells_them(secret: str) -> None:
    words = {"remedy": f"say {secret}", "topic": f"the {secret} one"}
    ours = OffsetsLost(f"they said {secret}", partition=4, **words)
    error = failure(WORKER.format(raised=WorkerError(ours)), url=URL, secrets=[secret])
    assert OffsetsLost is type(error)
    assert str(error) == "topic the *** one, partition 4: they said ***. say ***"
