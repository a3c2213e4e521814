"""librdkafka's clients: how they are set up, and what they really mean when they say no."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, Unpack

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from frameferry.config.connections import KafkaConnection
from frameferry.config.secrets import is_secret_option, struck
from frameferry.errors import (
    ConfigError,
    ConnectionMissing,
    FrameferryError,
    KafkaUnavailable,
    TopicMissing,
    TopicUnseen,
    Where,
)
from frameferry.kafka import codes, throttling
from frameferry.kafka.doors import takes_connections
from frameferry.kafka.throttling import Throttling

CLIENT_ID: Final = "frameferry"
RETRY_SECONDS: Final = 0.1
COMING_UP_SECONDS: Final = 3.0
UNSEEN: Final = (
    "The ledger knows this topic. A broker that has only just started may not know it yet: the "
    "step is tried again. If it stays so, see whether the topic was deleted, or kafka.topic changed"
)
_SHORTEST_SECONDS: Final = 0.01
_SLICE_SECONDS: Final = 1.0
AnswerT = TypeVar("AnswerT")
_AFTER: Final = re.compile(r"\s*\(after \d+ms in state.*$")


class Deadline:
    """One time-out that several calls share, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; never 0 or less, which librdkafka would take for no bound at all."""
        return max(self._end - time.monotonic(), _SHORTEST_SECONDS)

    @property
    def has_passed(self) -> bool:
        """Say whether the time is over."""
        return time.monotonic() >= self._end

    def renew(self, pause_seconds: float = 0.0) -> None:
        """Begin anew, after a pause in which nothing can come."""
        self._end = time.monotonic() + pause_seconds + self.seconds


class Listener:
    """
    Hear what happens on a client's connections (`error_cb`), and say it to a person.

    librdkafka reports a wrong password, a missing certificate and a broker that is down all as a
    time-out of the call; only its callback tells them apart.
    """

    def __init__(self, connection: KafkaConnection, throttling: Throttling | None = None) -> None:
        self.connection = connection
        self.last: KafkaError | None = None
        self.throttling = throttling or Throttling()

    def __call__(self, error: KafkaError) -> None:
        """Keep the last error that says more than that all brokers are down."""
        if self.last is None or error.code() != codes.ALL_BROKERS_DOWN:
            self.last = error

    def forget(self) -> None:
        """Begin anew: the connection has worked since."""
        self.last = None

    @property
    def login_refused(self) -> bool:
        """Say whether trying again would only knock at a closed door, and perhaps lock it."""
        return self.last is not None and self.last.code() in codes.LOGIN_REFUSED

    def unavailable(
        self, error: KafkaError | None, seconds: float, **where: Unpack[Where]
    ) -> KafkaUnavailable:
        """Make the error for a call that got no answer: the cause, and what to check."""
        servers = self.connection.bootstrap_servers
        cause = self.last or error
        words = f": {self._words(cause)}" if cause else ""
        what = f"Kafka at {servers} gave no answer within {seconds:g} s{words}"
        if self.login_refused:
            what = f"Kafka at {servers} refused the log-in{words}"
        elif self.last is None and self.throttling.seconds:
            what = f"{what}. Its quota held answers back for {self.throttling.seconds:.1f} s"
            return KafkaUnavailable(what, remedy=throttling.REMEDY, **where)
        return KafkaUnavailable(what, remedy=self._remedy(cause), **where)

    def translated(
        self, error: KafkaError, doing: str, *, was_there: bool = False, **where: Unpack[Where]
    ) -> FrameferryError:
        """
        Turn a no into our error.

        Args:
            error: The no.
            doing: What was asked for.
            was_there: The ledger has offsets of the topic, so that it once was there.
            where: Coordinates for the error.
        """
        if was_there and error.code() in codes.MISSING:
            return TopicUnseen(f"{doing}: {self._words(error)}", remedy=UNSEEN, **where)
        kind, remedy = self._no(error.code())
        return kind(f"{doing}: {self._words(error)}", remedy=remedy, **where)

    def _no(self, code: int) -> tuple[type[FrameferryError], str]:
        """Say what a no means, and what to do about it."""
        if code in codes.MISSING:
            return TopicMissing, "Create it, or mend kafka.topic in the pipeline's file"
        if code in codes.FORBIDDEN:
            conn_id = self.connection.conn_id
            return ConfigError, f"Let the user of connection {conn_id!r} do this (Kafka ACLs)"
        if code == KafkaError.TOPIC_EXCEPTION:
            return ConfigError, "Mend kafka.topic in the pipeline's file"
        if code in codes.GROUP_IN_USE:
            remedy = "Stop the consumers that joined it: it only mirrors what the ledger says"
            return KafkaUnavailable, remedy
        return KafkaUnavailable, ""

    def _words(self, error: KafkaError) -> str:
        return redacted(_AFTER.sub("", error.str()), self.connection)

    def _remedy(self, cause: KafkaError | None) -> str:
        conn_id, text = self.connection.conn_id, cause.str() if cause else ""
        if cause is not None and cause.code() in codes.LOGIN_REFUSED:
            return f"Check user, password and sasl.mechanism of connection {conn_id!r}"
        if "certificate verify failed" in text:
            return (
                f"Check ssl.ca.location (or ssl.ca.pem) of connection {conn_id!r}, and whether the "
                "broker's certificate is for this host and valid today"
            )
        if "SSL" in text or "certificate" in text:
            return f"Check security.protocol and the ssl options of connection {conn_id!r}"
        if cause is not None and cause.code() == codes.NAME_UNRESOLVED:
            return f"Check the host name in bootstrap.servers of connection {conn_id!r}"
        if self._says_nothing(cause):
            return (
                "It takes connections and answers none: see whether it is busy, and whether "
                f"security.protocol of connection {conn_id!r} is the one that it wants"
            )
        return f"Start the broker, or check bootstrap.servers of connection {conn_id!r}"

    def _says_nothing(self, cause: KafkaError | None) -> bool:
        """
        Say whether a broker is there that answers nothing.

        One that wants TLS hangs up on a client without it, and librdkafka calls that down.
        """
        is_vague = cause is None or cause.code() in codes.NO_ANSWER
        return is_vague and takes_connections(self.connection.bootstrap_servers)


def open_admin(connection: KafkaConnection, listener: Listener) -> AdminClient:
    """
    Make a client that asks questions; it connects in the background.

    Raises:
        ConnectionMissing: librdkafka does not understand the connection's options.
    """
    return _made(AdminClient, _options(connection, listener), connection)


def open_consumer(
    connection: KafkaConnection, listener: Listener, own: Mapping[str, Any]
) -> Consumer:
    """
    Make a consumer; the options *own* win over the connection's.

    Raises:
        ConnectionMissing: librdkafka does not understand the connection's options.
    """
    return _made(Consumer, {**_options(connection, listener), **own}, connection)


def ask(
    consumer: Consumer,
    listener: Listener,
    question: Callable[[float], AnswerT],
    deadline: Deadline,
    doing: str,
    *,
    bears_quota: bool = False,
    was_there: bool = False,
    **where: Unpack[Where],
) -> AnswerT:
    """
    Ask a blocking *question* (it takes its time-out); ask again while nobody answers.

    It asks in slices, so that a refused log-in is heard soon and not tried for the whole time. Each
    slice is twice as long as the one before, for a network where one answer takes seconds.

    Args:
        consumer: Who asks.
        listener: Of that consumer.
        question: What to ask.
        deadline: For all its tries together.
        doing: The question in a word, for the error.
        bears_quota: The deadline is one of silence: a quota's pauses do not count. One question
            takes several answers, and each of them is held back.
        was_there: As `Listener.translated`.
        where: Coordinates for the error.

    Raises:
        KafkaUnavailable: Nobody answered before the deadline.
        KafkaThrottled: A quota holds back more than the listener has patience for.
        TopicMissing, TopicUnseen, ConfigError: The answer is a no.
    """
    seconds, coming_up = _SLICE_SECONDS, ComingUp()
    pauses = listener.throttling.pauses
    while True:
        try:
            return question(min(seconds, deadline.left))
        except KafkaException as error:
            consumer.poll(0)
            cause = error.args[0]
            if cause.code() not in codes.NO_ANSWER and not coming_up.may_pass(cause):
                raise listener.translated(cause, doing, was_there=was_there, **where) from None
            if bears_quota and pauses != listener.throttling.pauses:
                listener.throttling.refuse_endless(**where)
                pauses = listener.throttling.pauses
                deadline.renew(2 * seconds)
            if deadline.has_passed or listener.login_refused:
                raise listener.unavailable(cause, deadline.seconds, **where) from None
            seconds *= 2
            time.sleep(RETRY_SECONDS)


class ComingUp:
    """
    One question's patience with a broker that is just coming up, or was held up for a while.

    For some moments it knows of no topic, partition or leader. So a thing counts as missing only
    once that was said for COMING_UP_SECONDS; silence before does not count.
    """

    def __init__(self) -> None:
        self._missing_since: float | None = None

    def may_pass(self, cause: KafkaError) -> bool:
        """Say whether the same question may soon get another answer than this no."""
        if cause.code() not in codes.MISSING:
            return cause.code() in codes.NOT_YET
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since < COMING_UP_SECONDS


def redacted(text: str, connection: KafkaConnection) -> str:
    """Take the values of secret options out of a text."""
    options = connection.options.items()
    return struck(text, (str(value) for name, value in options if is_secret_option(name)))


def _options(connection: KafkaConnection, listener: Listener) -> dict[str, Any]:
    """Silence librdkafka's own log lines: what they say comes by `error_cb` as well."""
    return {
        "client.id": CLIENT_ID,
        "log_level": 0,
        **connection.options,
        "allow.auto.create.topics": False,
        "enable.auto.commit": False,
        "error_cb": listener,
        "throttle_cb": listener.throttling.note,
    }


def _made(kind: Any, options: dict[str, Any], connection: KafkaConnection) -> Any:  # noqa: ANN401
    try:
        return kind(options)
    except (KafkaException, TypeError, ValueError) as error:
        cause = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        msg = f"connection {connection.conn_id!r}: {redacted(cause, connection)}"
        raise ConnectionMissing(msg, remedy=_remedy(cause)) from None


def _remedy(cause: str) -> str:
    if "GSSAPI" in cause:
        return "Kerberos needs a librdkafka of your own: see docs/configuration.md, section Kafka"
    return "Its extra holds librdkafka's options; see docs/configuration.md"
