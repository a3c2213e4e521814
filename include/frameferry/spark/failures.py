"""What Spark's errors mean: long traces become one of ours, with the sentence that helps."""

from __future__ import annotations

import re
from collections.abc import Sequence

from frameferry.errors import (
    ConfigError,
    FrameferryError,
    JudgingFailed,
    KafkaUnavailable,
    ModelMismatch,
    OffsetsLost,
    SparkUnavailable,
)

_LONGEST_SENTENCE = 400
_MODEL_MISMATCH = re.compile(r"frameferry\.errors\.ModelMismatch: (?P<what>[^\n]+)")
_SYMPTOMS: tuple[tuple[type[FrameferryError], re.Pattern[str], str], ...] = (
    (
        ConfigError,
        re.compile(r"Failed to find (?:the )?data source: kafka", re.IGNORECASE),
        "Start Spark with the Kafka connector's jars (FRAMEFERRY_JARS, or spark.jars in the connection)",
    ),
    (
        ConfigError,
        re.compile(r"No module named '?frameferry|ModuleNotFoundError: .*frameferry"),
        "Install frameferry in the Python that Spark's workers use (PYSPARK_PYTHON)",
    ),
    (
        OffsetsLost,
        re.compile(
            r"KAFKA_DATA_LOSS|data may have been lost|OffsetOutOfRange"
            r"|(?:were|are) no longer available|PARTITION_OFFSET_CHANGED",
            re.IGNORECASE,
        ),
        "See the topic's retention; the next plan records the gap",
    ),
    (
        KafkaUnavailable,
        re.compile(
            r"org\.apache\.kafka\.common\.(?:errors|KafkaException|config\.ConfigException)"
            r"|No resolvable bootstrap|Timed out waiting for a node assignment"
            r"|Failed to (?:construct|create new) \w*Kafka\w*"
            r"|Timeout of \d+ms expired before the position|UnknownTopicOrPartition"
            r"|SaslAuthenticationException|SslAuthenticationException",
            re.IGNORECASE,
        ),
        "Check that the brokers run and that Spark's hosts reach them",
    ),
    (
        SparkUnavailable,
        re.compile(
            r"NO_ACTIVE_SESSION|SESSION_CLOSED|SESSION_CHANGED|SESSION_NOT_FOUND|RESPONSE_ALREADY_RECEIVED"
            r"|stopped SparkContext|SparkContext was shut down|server side session identifier"
            r"|StatusCode\.UNAVAILABLE|failed to connect to all addresses|Socket closed"
            r"|OPERATION_NOT_FOUND|All masters are unresponsive|closed channel|Connection refused"
            r"|Master is unresponsive|UNAUTHENTICATED|Invalid authentication token",
            re.IGNORECASE,
        ),
        "Start Spark again, or mend the connection; the batch is judged again by its next attempt",
    ),
)
_NOTES = (
    (
        re.compile(r"OPERATION_CANCELED|cancelled part of cancelled job|has been canceled", re.IGNORECASE),
        "was interrupted, by a newer attempt or a person",
    ),
    (
        re.compile(r"Python worker exited unexpectedly|Python worker .*crashed", re.IGNORECASE),
        "a Python worker died while it judged",
    ),
    (re.compile(r"maxResultSize", re.IGNORECASE), "the rows are larger than spark.driver.maxResultSize"),
)
_PYTHON_ERROR = re.compile(r"^(?:\w+\.)*(?P<kind>\w*(?:Error|Exception|Interrupt)): (?P<what>.+)$", re.MULTILINE)
_JAVA_PREFIX = re.compile(r"^\s*(?:Caused by: |Exception in thread \S+ |\((?=[\w.]+\)))?(?:[\w$]+\.)+[\w$]+[:)] ")
_NOISE = re.compile(r"^\s*(?:at |\.\.\. \d+ more|File \"|Traceback|JVM stacktrace|SLF4J|WARNING:|\d\d/\d\d/\d\d )")


def failure(text: str, *, url: str, secrets: Sequence[str] = ()) -> FrameferryError:
    """
    Say what an error of Spark means, in one sentence and without secrets.

    Args:
        text: Everything known: message, stack trace, or the last lines of a process.
        url: The Spark that was asked, for the reader.
        secrets: Values to be struck out wherever they occur.
    """
    clean = redacted(text, secrets)
    mismatch = _MODEL_MISMATCH.search(clean)
    if mismatch:
        return ModelMismatch(_shortened(mismatch["what"]).rstrip("."))
    for kind, pattern, remedy in _SYMPTOMS:
        found = pattern.search(clean)
        if found:
            return kind(f"Spark at {url}: {_sentence_around(clean, found.start())}", remedy=remedy)
    return JudgingFailed(f"judging on Spark at {url} failed: {essence(clean)}")


def essence(text: str) -> str:
    """Find the one sentence of a trace that helps: the last Python error, else the first line."""
    for pattern, note in _NOTES:
        if pattern.search(text):
            return note
    raised = list(_PYTHON_ERROR.finditer(text))
    if raised:
        return _shortened(f"{raised[-1]['kind']}: {raised[-1]['what']}")
    lines = [line for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return _shortened(_JAVA_PREFIX.sub("", lines[0])) if lines else "no reason was given"


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Strike out every secret value."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _sentence_around(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return _shortened(_JAVA_PREFIX.sub("", text[start : end if end >= 0 else len(text)]))


def _shortened(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_SENTENCE else f"{line[:_LONGEST_SENTENCE]}…"
