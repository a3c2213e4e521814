"""The warm route: one Spark Connect call under a deadline, on the session that all clients share."""

from __future__ import annotations

import itertools
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import grpc
from pyspark.errors import PySparkException  # noqa: TID253 - only the Connect route imports this module
from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: TID253
from pyspark.sql.connect.session import SparkSession  # noqa: TID253

from frameferry.config.connections import DEFAULT_SPARK_CONNECT_PORT, SparkConnection
from frameferry.errors import FrameferryError, JudgingFailed, SparkUnavailable
from frameferry.spark.failures import failure
from frameferry.spark.frame import SESSION_CONF
from frameferry.spark.identity import code_version, session_id
from frameferry.spark.job import JudgeJob, judge_table, operation_tag

if TYPE_CHECKING:
    import pyarrow as pa

USER = "frameferry"
PROBE_SECONDS = 3.0
_INTERRUPT_SECONDS = 5.0
_OLDER_ATTEMPTS = 8
_MOST_GENERATIONS = 1000
"""As many closed sessions as a server remembers; beyond them an id would open anew."""
_SPARK_ERRORS = (PySparkException, grpc.RpcError, ValueError, TypeError)
"""ValueError and TypeError: what grpc and Arrow raise on a channel or stream that went away."""


@dataclass
class ConnectCall:
    """
    One judging on a Spark Connect server, bounded by a deadline.

    Spark Connect has no deadline of its own, so the call runs in a thread that is left behind
    when the time is up, after its operations were interrupted by their tag.
    """

    job: JudgeJob
    connection: SparkConnection
    judge: str
    deadline_seconds: float
    _session: SparkSession | None = field(default=None, init=False, repr=False)

    def table(self) -> pa.Table:
        """
        Judge the job.

        Raises:
            SparkUnavailable: No server listens, or it went away.
            JudgingFailed: The job raised, or passed its deadline (it is interrupted then).
            KafkaUnavailable, OffsetsLost, ModelMismatch: What the job met.
        """
        probe(self.connection.url)
        answer: Future[pa.Table] = Future()
        _in_background(lambda: _answered(answer, self._judged))
        settled = False
        try:
            table = answer.result(timeout=self.deadline_seconds)
            settled = True
        except FutureTimeoutError:
            raise self._late() from None
        except FrameferryError:
            settled = True
            raise
        finally:
            if not settled:
                self._interrupt()
        return table

    def _late(self) -> FrameferryError:
        if self._session is None:
            return SparkUnavailable(
                f"Spark at {self.connection.url} opened no session in {self.deadline_seconds:g} s",
                remedy="Look at the server's log, or start it again",
            )
        return JudgingFailed(
            f"judging passed its deadline of {self.deadline_seconds:g} s on Spark at "
            f"{self.connection.url} and was interrupted"
        )

    def _judged(self) -> pa.Table:
        with _translated(self.job, self.connection), self._open() as session:
            self._session = session
            for attempt in range(max(1, self.job.attempt - _OLDER_ATTEMPTS), self.job.attempt):
                session.interruptTag(operation_tag(self.job.batch_id, attempt))
            session.addTag(self.job.tag)
            return judge_table(session, self.job)

    @contextmanager
    def _open(self) -> Iterator[SparkSession]:
        """Open the first generation of our session that was not closed; close only the channel."""
        warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
        for generation in itertools.count():
            ours = session_id(self.job.pipeline, self.judge, code_version(), generation)
            session = _session(self.connection, ours)
            with closing(session.client):
                if generation < _MOST_GENERATIONS and _is_closed(session):
                    continue
                yield session
                return

    def _interrupt(self) -> None:
        session = self._session
        if session is None:
            return
        call = _in_background(lambda: _interrupted(session, self.job.tag))
        call.join(_INTERRUPT_SECONDS)


def probe(url: str) -> None:
    """
    Ask whether anything listens, before a client that would wait for minutes does.

    Raises:
        SparkUnavailable: Nothing does.
    """
    parts = urlsplit(f"//{url.partition('://')[2]}")
    host, port = parts.hostname or "localhost", parts.port or DEFAULT_SPARK_CONNECT_PORT
    try:
        socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise SparkUnavailable(
            f"nothing answers at {url} ({error.strerror or error})",
            remedy="Start Spark (`frameferry stack up --only spark`), or mend the connection",
        ) from error


def _session(connection: SparkConnection, ours: str) -> SparkSession:
    token = connection.token.get_secret_value() if connection.token else ""
    secret = f";token={quote(token, safe='')}" if token else ""
    url = f"{connection.url}/;user_id={USER};session_id={ours}{secret}"
    session = SparkSession.builder.remote(url).create()
    # The default waits ten minutes for a server that is gone.
    patience = DefaultPolicy(max_retries=4, initial_backoff=100, backoff_multiplier=3.0)
    session.client.set_retry_policies([patience])
    return session


def _is_closed(session: SparkSession) -> bool:
    """Set what the job needs; a session that was stopped or expired answers that it is closed."""
    try:
        for name, value in SESSION_CONF.items():
            session.conf.set(name, value)
    except PySparkException as error:
        if "SESSION_CLOSED" in str(error):
            return True
        raise
    return False


@contextmanager
def _translated(job: JudgeJob, connection: SparkConnection) -> Iterator[None]:
    try:
        yield
    except _SPARK_ERRORS as error:
        token = connection.token.get_secret_value() if connection.token else ""
        secrets = (*job.secrets, *([token] if token else []))
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
