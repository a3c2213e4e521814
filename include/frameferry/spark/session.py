"""The warm route: one Spark Connect call under a deadline, on the session all clients share."""

from __future__ import annotations

import itertools
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc  # type: ignore[import-untyped]
from pyspark.errors import PySparkException  # noqa: TID253 - only the Connect route imports this module
from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: TID253
from pyspark.sql.connect.session import SparkSession  # noqa: TID253

from frameferry.config.connections import SparkConnection
from frameferry.errors import (
    FrameferryError,
    JudgingFailed,
    JudgingTimedOut,
    SparkLost,
    SparkUnavailable,
)
from frameferry.spark.failures import SLOW_START, failure
from frameferry.spark.frame import job_table
from frameferry.spark.identity import code_version, session_id
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.resources import RESOURCES_SHARE, no_executor, take_empty_task

if TYPE_CHECKING:
    import pyarrow as pa

USER = "frameferry"
OPENING_SECONDS = 60.0
"""How long a server that listens may take to answer its first question."""
_INTERRUPT_SECONDS = 5.0
_OLDER_ATTEMPTS = 8
_ANY_SETTING = "spark.sql.session.timeZone"
"""Read to see whether a session answers."""
_MOST_GENERATIONS = 1000
"""A server remembers this many closed sessions; an older id would open a new one."""
_SPARK_ERRORS = (PySparkException, grpc.RpcError, ValueError, TypeError)
"""grpc and Arrow raise ValueError and TypeError on a channel or stream that went away."""


@dataclass
class ConnectCall:
    """
    One judging on a Spark Connect server, bounded by a deadline.

    Spark Connect has no deadline of its own, so the call runs in a thread. When the time is up, its
    operations are interrupted by their tag, and the thread is left behind.
    """

    job: JudgeJob | ControlJob
    connection: SparkConnection
    deadline_seconds: float
    _session: SparkSession | None = field(default=None, init=False, repr=False)
    _has_executor: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _given_up: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def table(self) -> pa.Table:
        """
        Judge the job.

        Raises:
            SparkUnavailable: The server opened no session; SparkLost: it went away afterwards.
            JudgingFailed: The job raised, or passed its deadline (it is interrupted then).
            KafkaUnavailable, OffsetsLost, ModelMismatch: What the job met.
        """
        answer: Future[pa.Table] = Future()
        thread = _in_background(lambda: _answered(answer, self._judged))
        try:
            return self._awaited(answer)
        finally:
            # Also if this process is told to stop: a task that was cleared must not go on in Spark.
            self._given_up.set()
            if not answer.done():
                self._interrupt()
                thread.join(_INTERRUPT_SECONDS)

    def _awaited(self, answer: Future[pa.Table]) -> pa.Table:
        opening = min(OPENING_SECONDS, self.deadline_seconds)
        with suppress(FutureTimeoutError):
            return answer.result(timeout=opening)
        if self._session is None:
            msg = f"Spark at {self.connection.url} opened no session in {opening:g} s"
            raise SparkUnavailable(msg, remedy="Look at the server's log, or start it again")
        waiting = max(RESOURCES_SHARE * self.deadline_seconds - opening, 0)
        with suppress(FutureTimeoutError):
            return answer.result(timeout=waiting)
        if not self._has_executor.is_set():
            raise no_executor(self.connection.url, opening + waiting)
        try:
            return answer.result(timeout=self.deadline_seconds - opening - waiting)
        except FutureTimeoutError:
            msg = (
                f"judging passed its deadline of {self.deadline_seconds:g} s on Spark at "
                f"{self.connection.url} and was interrupted"
            )
            raise JudgingTimedOut(msg, remedy=SLOW_START) from None

    def _judged(self) -> pa.Table:
        try:
            return self._run()
        except SparkUnavailable as error:
            if self._session is None:
                raise
            raise SparkLost(error.what, remedy=error.remedy) from None

    def _run(self) -> pa.Table:
        with _translated(self.job.secrets, self.connection), _shared(self.connection) as session:
            self._session = session
            for attempt in range(max(1, self.job.attempt - _OLDER_ATTEMPTS), self.job.attempt):
                session.interruptTag(self.job.tag_of(attempt))
            session.addTag(self.job.tag)
            if self._given_up.is_set():
                msg = f"Spark at {self.connection.url} opened a session that nobody waits for"
                raise SparkUnavailable(msg)
            if not _is_local(session):
                take_empty_task(session)
            self._has_executor.set()
            return job_table(session, self.job)

    def _interrupt(self) -> None:
        session = self._session
        if session is not None:
            _in_background(lambda: _interrupted(session, self.job.tag)).join(_INTERRUPT_SECONDS)


def server_settings(connection: SparkConnection, names: Sequence[str]) -> dict[str, str | None]:
    """
    Ask a server for its settings.

    Returns:
        The value of each name; None if it is not set.

    Raises:
        SparkUnavailable: The server does not answer.
    """
    with passing_session(connection) as session:
        return {name: session.conf.get(name, None) for name in names}


@contextmanager
def passing_session(connection: SparkConnection) -> Iterator[SparkSession]:
    """
    Open a session of its own for a few questions, and release it again.

    Raises:
        SparkUnavailable, JudgingFailed: The server does not answer, or not as it should.
    """
    with _translated((), connection):
        session = _session(connection, str(uuid.uuid4()))
        with closing(session.client):
            try:
                yield session
            finally:
                with suppress(*_SPARK_ERRORS):
                    session.client.release_session()


@contextmanager
def shared_session(connection: SparkConnection) -> Iterator[SparkSession]:
    """
    Open the session that judges, for a question to its warm workers; it stays when we leave.

    Raises:
        SparkUnavailable, JudgingFailed: The server does not answer, or not as it should.
    """
    with _translated((), connection), _shared(connection) as session:
        yield session


@contextmanager
def _shared(connection: SparkConnection) -> Iterator[SparkSession]:
    """Open the first generation of our session that is not closed; close only the channel."""
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    # What a session can set of the connection's conf; the rest is the server's.
    conf = {k: v for k, v in connection.conf.items() if k.startswith("spark.sql.")}
    for generation in itertools.count():
        session = _session(connection, session_id(code_version(), conf, generation))
        with closing(session.client):
            if generation < _MOST_GENERATIONS and _is_closed(session, conf):
                continue
            yield session
            return


def _session(connection: SparkConnection, ours: str) -> SparkSession:
    token = connection.token.get_secret_value() if connection.token else ""
    secret = f";token={quote(token, safe='')}" if token else ""
    url = f"{connection.url.rstrip('/')}/;user_id={USER};session_id={ours}{secret}"
    session = SparkSession.builder.remote(url).create()
    # The default waits ten minutes for a server that is gone.
    patience = DefaultPolicy(max_retries=3, initial_backoff=100, backoff_multiplier=3.0)
    session.client.set_retry_policies([patience])
    return session


def _is_closed(session: SparkSession, conf: Mapping[str, str]) -> bool:
    """Set what the job needs; return True if the session was stopped or has expired."""
    try:
        for name, value in conf.items():
            session.conf.set(name, value)
        session.conf.get(_ANY_SETTING)
    except PySparkException as error:
        if "SESSION_CLOSED" in str(error):
            return True
        raise
    return False


def _is_local(session: SparkSession) -> bool:
    """Say whether the server's executors are its own threads: then they are there."""
    return (session.conf.get("spark.master", None) or "").startswith("local")


@contextmanager
def _translated(hidden: Sequence[str], connection: SparkConnection) -> Iterator[None]:
    try:
        yield
    except _SPARK_ERRORS as error:
        token = connection.token.get_secret_value() if connection.token else ""
        secrets = (*hidden, *([token] if token else []))
        raise failure(_everything(error), url=connection.url, secrets=secrets) from None


def _everything(error: BaseException) -> str:
    trace: Any = getattr(error, "getStackTrace", lambda: None)()
    return f"{error}\n{trace or ''}"


def _answered(answer: Future[pa.Table], ask: Callable[[], pa.Table]) -> None:
    try:
        answer.set_result(ask())
    except FrameferryError as error:
        answer.set_exception(error)
    finally:
        if not answer.done():
            answer.set_exception(JudgingFailed("the judging thread died; see its traceback"))


def _interrupted(session: SparkSession, tag: str) -> None:
    with suppress(*_SPARK_ERRORS):
        session.interruptTag(tag)


def _in_background(action: Callable[[], None]) -> threading.Thread:
    """Start a thread that never keeps the process from ending."""
    thread = threading.Thread(target=action, daemon=True, name="frameferry-spark")
    thread.start()
    return thread
