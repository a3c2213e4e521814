"""What Spark's errors mean: long traces become one of ours, with the sentence that helps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from frameferry.config.secrets import struck
from frameferry.errors import (
    ConfigError,
    FrameferryError,
    JudgingFailed,
    SparkOutOfMemory,
    SparkUnavailable,
    revived,
)
from frameferry.spark.crossing import crossed

SLOW_START = "If Spark or the model only start slowly, raise spark.startup_seconds"
"""The remedy if a deadline passed and no picture is to blame."""
JAVA_IS_GONE = "Answer from Java side is empty"
"""What a driver's Python says when its JVM ended under it, whatever the reason was."""
TRACEBACK = "Traceback (most recent call last):"
_LONGEST_SENTENCE = 400
_CAUSED_BY = re.compile(r"^Caused by: (?P<what>[\w.$]+: .+)$", re.MULTILINE)
_WORKER_RAISED = re.compile(r"An exception was thrown from the Python worker: Traceback")
_RAISED = re.compile(
    r"^(?:\w+\.)*(?P<kind>\w*(?:Error|Exception|Interrupt|Warning)): (?P<what>.+)$", re.MULTILINE
)


class _Symptom(NamedTuple):
    meaning: type[FrameferryError]
    pattern: re.Pattern[str]
    remedy: str


def _symptom(meaning: type[FrameferryError], remedy: str, *patterns: str) -> _Symptom:
    return _Symptom(meaning, re.compile("|".join(patterns), re.IGNORECASE), remedy)


_SYMPTOMS = (
    _symptom(
        ConfigError,
        "Install frameferry in the Python that Spark's workers use (PYSPARK_PYTHON)",
        r"No module named '?frameferry",
    ),
    _symptom(
        ConfigError,
        "Give the executors the Python that the driver has (extra `python` of the connection, "
        "PYSPARK_PYTHON of a Spark Connect server): the same number before the second dot",
        r"PYTHON_VERSION_MISMATCH",
        r"Python in worker has different version",
    ),
    _symptom(
        ConfigError,
        "Name a Python that is on every machine of the cluster (extra `python` of the connection)",
        r"Cannot run program \"[^\"]*python[^\"]*\"",
    ),
    _symptom(
        SparkOutOfMemory,
        "Give Spark more memory: spark.driver.memory of its server, or of a cluster "
        "spark.executor.memory and spark.executor.memoryOverhead",
        r"java\.lang\.OutOfMemoryError",
        r"SparkOutOfMemoryError",
        r"GC overhead limit exceeded",
        r"Container (?:killed|from a bad node).*memory",
    ),
    _symptom(
        SparkOutOfMemory,
        "Raise spark.driver.maxResultSize of the Spark server",
        r"spark\.driver\.maxResultSize",
    ),
    _symptom(
        SparkUnavailable,
        "Check the token of the Spark connection (its password) against the server's "
        "spark.connect.authenticate.token",
        r"(?:Invalid|No) authentication token",
        r"UNAUTHENTICATED",
    ),
    _symptom(
        SparkUnavailable,
        "Spark's client sends a token by TLS, but to a host that is called localhost: put a proxy "
        "with TLS before the server; see docs/configuration.md, section Spark",
        r"SSL_ERROR",
        r"WRONG_VERSION_NUMBER",
        r"Ssl handshake failed",
    ),
    _symptom(
        SparkUnavailable,
        "Start Spark again, or mend the connection; nothing was recorded",
        r"NO_ACTIVE_SESSION",
        r"SESSION_(?:CLOSED|CHANGED|NOT_FOUND)",
        r"RESPONSE_ALREADY_RECEIVED",
        r"OPERATION_NOT_FOUND",
        r"stopped SparkContext",
        r"SparkContext was shut down",
        r"server side session identifier",
        r"StatusCode\.UNAVAILABLE",
        r"failed to connect to all addresses",
        r"Socket closed",
        r"closed channel",
        r"All masters are unresponsive",
    ),
    _symptom(
        SparkUnavailable,
        "Look at the application's own log, as by `yarn logs -applicationId`; nothing was recorded",
        r"Application diagnostics message",
        JAVA_IS_GONE,
    ),
    _symptom(
        SparkUnavailable,
        "Install Java 17 or 21 here, or use Spark Connect",
        r"JAVA_HOME is not set",
        r"java: (?:command )?not found",
    ),
)
_WORKERS_OWN = 3
"""So many of the first symptoms are what a worker's Python says of itself."""
_NOTES = (
    (
        re.compile(r"OPERATION_CANCELED|cancelled part of cancelled job", re.IGNORECASE),
        "it was interrupted, by a newer attempt or a person",
    ),
    (
        re.compile(r"Python worker exited unexpectedly", re.IGNORECASE),
        "a Python worker died while it judged",
    ),
)
_TOLD = re.compile(r"details = \"([^\"\n]+)")
"""Where gRPC puts what really happened."""
_JAVA_NAME = re.compile(
    r"^\s*\d\d/\d\d/\d\d \S+ [A-Z]+ \w+: "
    r"|^\s*(?:: |Caused by: |Exception in thread \S+ )?\(?(?:[\w$]+\.){2,}[\w$]+[:)] "
    r"|^\s*\[[A-Z_.]+\] "
    r"| SQLSTATE: \w+$"
)
_NOISE = re.compile(
    r"^\s*(?:at |\.\.\. \d+ more|File \"|Traceback|JVM stacktrace|SLF4J|WARNING: |Using |Setting "
    r"|\d\d/\d\d/\d\d )"
)


def failure(text: str, *, url: str, secrets: Sequence[str] = ()) -> FrameferryError:
    """
    Say what an error of Spark means, in one sentence and without secrets.

    Args:
        text: Everything known: message, stack trace, or the last lines of a process.
        url: The Spark that was asked, for the reader.
        secrets: Values to be struck out wherever they occur.
    """
    if (ours := crossed(text)) is not None:
        return _struck(ours, secrets)
    clean = redacted(text, secrets)
    symptom = _matching(clean)
    if symptom is None:
        return JudgingFailed(f"judging on Spark at {url} failed: {essence(clean)}")
    pattern = symptom.pattern.search(clean)
    sentence = _sentence_at(clean, pattern.start() if pattern else 0)
    return symptom.meaning(f"Spark at {url}: {sentence}", remedy=symptom.remedy)


def essence(text: str) -> str:
    """
    Find the one sentence of a trace that helps.

    That is what our code raised on a worker, or the last cause in a driver's traceback, otherwise
    the first line.
    """
    worker = _WORKER_RAISED.search(text)
    if worker and (raised := _RAISED.search(text, worker.end())):
        return _shortened(f"{raised['kind']}: {raised['what']}")
    for pattern, note in _NOTES:
        if pattern.search(text):
            return note
    if text.startswith(TRACEBACK) and (causes := _CAUSED_BY.findall(text)):
        return _shortened(causes[-1])
    if text.startswith(TRACEBACK) and (errors := list(_RAISED.finditer(text))):
        return _shortened(errors[-1]["what"])
    lines = [line for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return _shortened(lines[0]) if lines else "no reason was given"


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Strike out every secret value."""
    return struck(text, secrets)


def _struck(error: FrameferryError, secrets: Sequence[str]) -> FrameferryError:
    """Strike secrets out of an error that has crossed: JSON may spell them differently."""
    content = error.content()
    where = {
        name: redacted(value, secrets) if isinstance(value, str) else value
        for name, value in content["where"].items()
    }
    words = {name: redacted(content[name], secrets) for name in ("what", "remedy")}
    return revived({**content, **words, "where": where})


def _matching(text: str) -> _Symptom | None:
    """Find what a trace means; if a worker's code raised it, only the first ones can apply."""
    candidates = _SYMPTOMS[:_WORKERS_OWN] if _WORKER_RAISED.search(text) else _SYMPTOMS
    return next((symptom for symptom in candidates if symptom.pattern.search(text)), None)


def _sentence_at(text: str, position: int) -> str:
    if told := _TOLD.search(text, position):
        return _shortened(told[1])
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return _shortened(text[start : end if end >= 0 else len(text)])


def _shortened(sentence: str) -> str:
    line = _JAVA_NAME.sub("", " ".join(sentence.split())).strip().rstrip(".;")
    return line if len(line) <= _LONGEST_SENTENCE else f"{line[:_LONGEST_SENTENCE]}…"
