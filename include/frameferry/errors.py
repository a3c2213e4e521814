"""
Every error a step can raise, as one tree.

FrameferryError
├── TransientError            the same step may succeed later: Airflow retries it
│   ├── ConnectionUnresolved      Airflow has no such connection, or could not be asked
│   ├── KafkaUnavailable          no broker answered in time
│   │   ├── KafkaThrottled            a quota of Kafka's holds back more than there is time for
│   │   └── TopicUnseen               Kafka does not know a topic of the ledger's, perhaps not yet
│   ├── SparkUnavailable          no Spark server answered
│   │   └── SparkLost                 the Spark server went away during a judge job
│   ├── JudgingFailed             the judge job raised, died or passed its deadline
│   │   └── JudgingTimedOut           the judge job passed its deadline and was ended
│   ├── ControlFailed             pictures with a known answer were not judged as they should be
│   ├── SparkOutOfMemory          Spark has too little memory for a batch: it is cut smaller
│   ├── BatchTooBig               a batch holds more bytes than it may: it is split
│   ├── SparkReserved             a suspect batch has the Spark server for itself
│   ├── LedgerUnavailable         the ledger database is down or stays locked
│   ├── NotTold                   a notifier failed: people were not told
│   ├── FtpUnavailable            the FTP server dropped us, timed out, or refused for now (4yz)
│   │   └── FtpCrowded                the FTP server takes no further connection now
│   ├── BatchOwned                a younger lease holds the batch
│   ├── Fenced                    a newer attempt, a split or a restore owns the batch
│   ├── PlanStale                 another planner moved the planned offset first
│   ├── PredictionsIncomplete     the judge's rows are not the records of the range
│   ├── LogExchanged              offsets came to mean other records while they were read
│   └── BatchUnfinished           a batch is not finished yet, so it cannot be committed
└── TerminalError             no retry helps: the task fails at once, a person looks
    ├── ConfigError               a pipeline file, a form or an argument is wrong
    ├── ConnectionMissing         a connection id resolves to nothing, or to nonsense
    ├── TopicMissing              the topic, or one of its partitions, does not exist
    ├── TopicCompacted            records vanish from the topic before they are read
    ├── TopicChanged              the topic was created anew, or the cluster is another
    │   └── LogTruncated              a partition's log was cut short: others take its offsets
    ├── OffsetsLost               a range to be read lies below the low watermark
    ├── ModelMismatch             the model does not fit its card, or changed under a batch
    ├── RecordChanged             Kafka returned other bytes than were judged
    ├── LedgerConflict            the ledger refuses: wrong host, schema, or an older copy
    │   ├── LedgerOutdated            the ledger is older than the world: it is recovered first
    │   └── WitnessMissing            the mirror is gone: a person vouches for the ledger first
    ├── DeliveryRefused           the FTP server refuses the job as a whole
    │   └── LoginRefused              the FTP server refuses the user or password
    ├── UnsafePath                a remote path would leave its base or break the protocol
    ├── NotAdopted                the pipeline waits to be told where another system stopped
    ├── PipelineBlocked           the ledger says blocked: a person or a new credential frees it
    ├── ReplayStopped             a person stopped the replay, until it is resumed
    └── StackError                an embedded server does not start or stop
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import (
    Any,
    Final,
    Literal,
    Self,
    TypedDict,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

Phase = Literal["connect", "login", "control", "data connection", "data", "transfer"]
"""How far a talk with an FTP server has come."""
_NO_FIELDS: Final = frozenset({"what", "remedy", "where", "return"})
_LONGEST_WORDS: Final = 400


def encodable(text: str) -> str:
    """Escape what UTF-8 cannot carry, such as odd bytes of a file's name."""
    return text.encode(errors="backslashreplace").decode()


class Where(TypedDict, total=False):
    """`Coordinates` as keywords, for whoever makes an error or completes it."""

    pipeline: str | None
    batch: int | None
    topic: str | None
    partition: int | None
    offset: int | None
    model: str | None
    server: str | None
    executor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """
    What an error happened to, as far as it is known, in the order of the message.

    They are for people. A program decides by the fields of the error's own class.
    """

    pipeline: str | None = None
    batch: int | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    model: str | None = None
    server: str | None = None
    executor: str | None = None

    def known(self) -> Where:
        """List those that are known, as keywords."""
        return cast("Where", {k: v for k, v in asdict(self).items() if v is not None})

    def completed(self, others: Coordinates) -> Coordinates:
        """Take from *others* what is unknown here."""
        together: Where = {**others.known(), **self.known()}
        return Coordinates(**together)


class Content(TypedDict):
    """An error on its way out of the process, as JSON can hold it; `revived` reads it."""

    kind: str
    what: str
    remedy: str
    where: Where
    fields: dict[str, str | int | bool | None]


class FrameferryError(Exception):
    """
    Say what happened, to which pipeline, batch and offset, and what to do next.

    A program decides by fields that a subclass may have. Each is a keyword of its `__init__` and an
    attribute of the same name, and crosses into other processes with the rest.

    Args:
        what: One sentence, without a full stop if a remedy follows.
        remedy: What the reader should do next; empty if only waiting helps.
        where: The coordinates, which the message names.
    """

    def __init__(self, what: str, *, remedy: str = "", **where: Unpack[Where]) -> None:
        self.what: Final = what
        self._remedy = remedy
        self._where = Coordinates(**where)
        super().__init__(what)

    @property
    def remedy(self) -> str:
        """What the reader should do next; only `advise` changes it."""
        return self._remedy

    @property
    def where(self) -> Coordinates:
        """What it happened to; only `at` changes it."""
        return self._where

    def at(self, **where: Unpack[Where]) -> Self:
        """Add coordinates that the raiser could not know; those already there stay."""
        self._where = self._where.completed(Coordinates(**where))
        return self

    def advise(self, remedy: str) -> Self:
        """Replace the remedy of the raiser, who knew less."""
        self._remedy = remedy
        return self

    def named(self) -> Mapping[str, object]:
        """List what the message names before it says what happened."""
        return {**self._where.known()}

    def content(self) -> Content:
        """Write the error down for another process. Cause and traceback stay behind."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "remedy": self.remedy,
            "where": self.where.known(),
            "fields": {name: getattr(self, name) for name in own_fields(type(self))},
        }

    def __str__(self) -> str:
        place = ", ".join(f"{key} {value}" for key, value in self.named().items())
        head = f"{place}: {self.what}" if place else self.what
        return encodable(f"{head}. {self.remedy}" if self.remedy else head)

    def __reduce__(self) -> tuple[Callable[[object], FrameferryError], tuple[Content]]:
        """Pickle and copy an error by its content: there is one way into another process."""
        return revived, (self.content(),)


def own_fields(kind: type[FrameferryError]) -> dict[str, Any]:
    """List the fields of a class by which a program decides, with their types."""
    hints = get_type_hints(kind.__init__)
    return {name: hint for name, hint in hints.items() if name not in _NO_FIELDS}


def revived(content: object) -> FrameferryError:
    """
    Make the error that *content* describes.

    Returns:
        A ConfigError if another version of Frameferry wrote what this one does not know: nobody
        may decide by half of it.
    """
    match content:
        case {
            "kind": str(name),
            "what": str(what),
            "remedy": str(remedy),
            "where": dict(where),
            "fields": dict(fields),
        } if (kind := _kind(name)) is not None and _are_ours(kind, where, fields):
            return kind(what, remedy=remedy, **fields).at(**where)
        case _:
            return _foreign(content)


def _kind(name: str) -> type[FrameferryError] | None:
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, FrameferryError) else None


def _are_ours(
    kind: type[FrameferryError], where: Mapping[str, object], fields: Mapping[str, object]
) -> bool:
    places, own = get_type_hints(Where), own_fields(kind)
    if not where.keys() <= places.keys() or fields.keys() != own.keys():
        return False
    return _fit(where, places) and _fit(fields, own)


def _fit(values: Mapping[str, object], hints: Mapping[str, Any]) -> bool:
    return all(_fits(value, hints[name]) for name, value in values.items())


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type, a union of them, a Literal
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(_fits(value, one) for one in get_args(hint))
    return isinstance(value, hint)


def _phase_of(phase: Phase | None) -> Mapping[str, object]:
    return {} if phase is None else {"phase": phase}


def _foreign(content: object) -> FrameferryError:
    match content:
        case {"kind": kind, "what": what}:
            words = f"{kind}: {what}"
        case _:
            words = str(content)
    return ConfigError(
        "another process raised an error that this version of Frameferry does not know: "
        f"{' '.join(words.split())[:_LONGEST_WORDS]}",
        remedy="Install the same version everywhere, for Spark's workers too, and restart what ran",
    )


class TransientError(FrameferryError):
    """The same step may succeed later: Airflow retries it."""


class ConnectionUnresolved(TransientError):
    """Airflow has no such connection, or could not be asked."""


class KafkaUnavailable(TransientError):
    """No broker answered in time."""


class KafkaThrottled(KafkaUnavailable):
    """A quota of Kafka's holds back more than there is time for."""


class TopicUnseen(KafkaUnavailable):
    """
    Kafka does not know a topic of the ledger's, perhaps not yet.

    A broker that has only just started says so of topics that it has.
    """


class SparkUnavailable(TransientError):
    """No Spark server answered."""


class SparkLost(SparkUnavailable):
    """The Spark server went away during a judge job."""


class JudgingFailed(TransientError):
    """The judge job raised, died or passed its deadline."""


class JudgingTimedOut(JudgingFailed):
    """The judge job passed its deadline and was ended."""


class ControlFailed(TransientError):
    """Pictures with a known answer were not judged as they should be."""


class SparkOutOfMemory(TransientError):
    """Spark has too little memory for a batch: it is cut smaller."""


class BatchTooBig(TransientError):
    """
    A batch holds more bytes than it may: it is split.

    Its place is that of the first record that is too much: the batch is cut before it.
    """

    def __init__(self, what: str, *, partition: int, offset: int, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy, partition=partition, offset=offset)
        self.partition: Final = partition
        self.offset: Final = offset


class SparkReserved(TransientError):
    """A suspect batch has the Spark server for itself."""


class LedgerUnavailable(TransientError):
    """The ledger database is down or stays locked."""


class NotTold(TransientError):
    """A notifier failed: people were not told."""


class FtpUnavailable(TransientError):
    """
    The FTP server dropped us, timed out, or refused for now (4yz).

    The pool decides by `phase` whether to try again, and what is in the way.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "",
        phase: Phase | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(what, remedy=remedy, **where)
        self.phase: Final = phase

    def named(self) -> Mapping[str, object]:
        """List what the message names: the phase as well."""
        return {**super().named(), **_phase_of(self.phase)}


class FtpCrowded(FtpUnavailable):
    """
    The FTP server takes no further connection now.

    The pool makes do with fewer.
    """


class BatchOwned(TransientError):
    """A younger lease holds the batch."""


class Fenced(TransientError):
    """A newer attempt, a split or a restore owns the batch."""


class PlanStale(TransientError):
    """Another planner moved the planned offset first."""


class PredictionsIncomplete(TransientError):
    """The judge's rows are not the records of the range."""


class LogExchanged(TransientError):
    """Offsets came to mean other records while they were read."""


class BatchUnfinished(TransientError):
    """A batch is not finished yet, so it cannot be committed."""


class TerminalError(FrameferryError):
    """No retry helps: the task fails at once, a person looks."""


class ConfigError(TerminalError):
    """A pipeline file, a form or an argument is wrong."""


class ConnectionMissing(TerminalError):
    """A connection id resolves to nothing, or to nonsense."""


class TopicMissing(TerminalError):
    """The topic, or one of its partitions, does not exist."""


class TopicCompacted(TerminalError):
    """Records vanish from the topic before they are read."""


class TopicChanged(TerminalError):
    """The topic was created anew, or the cluster is another."""


class LogTruncated(TopicChanged):
    """A partition's log was cut short: others take its offsets."""


class OffsetsLost(TerminalError):
    """A range to be read lies below the low watermark."""


class ModelMismatch(TerminalError):
    """The model does not fit its card, or changed under a batch."""


class RecordChanged(TerminalError):
    """Kafka returned other bytes than were judged."""


class LedgerConflict(TerminalError):
    """The ledger refuses: wrong host, schema, or an older copy."""


class LedgerOutdated(LedgerConflict):
    """The ledger is older than the world: it is recovered first."""


class WitnessMissing(LedgerConflict):
    """The mirror is gone: a person vouches for the ledger first."""


class DeliveryRefused(TerminalError):
    """
    The FTP server refuses the job as a whole.

    It has a `phase` if every try ended in that one.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "",
        phase: Phase | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(what, remedy=remedy, **where)
        self.phase: Final = phase

    def named(self) -> Mapping[str, object]:
        """List what the message names: the phase as well."""
        return {**super().named(), **_phase_of(self.phase)}


class LoginRefused(DeliveryRefused):
    """
    The FTP server refuses the user or password.

    `is_plain` if its words clearly blame these, and not one connection too many.
    """

    def __init__(
        self, what: str, *, remedy: str = "", is_plain: bool = True, **where: Unpack[Where]
    ) -> None:
        super().__init__(what, remedy=remedy, **where)
        self.is_plain: Final = is_plain


class UnsafePath(TerminalError):
    """A remote path would leave its base or break the protocol."""


class NotAdopted(TerminalError):
    """The pipeline waits to be told where another system stopped."""


class PipelineBlocked(TerminalError):
    """The ledger says blocked: a person or a new credential frees it."""


class ReplayStopped(TerminalError):
    """A person stopped the replay, until it is resumed."""


class StackError(TerminalError):
    """An embedded server does not start or stop."""
