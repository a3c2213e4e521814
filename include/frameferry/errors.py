"""
Every error a step can raise, as one tree.

FrameferryError
├── TransientError            the same step may succeed later: Airflow retries it
│   ├── ConnectionUnresolved      Airflow has no such connection, or could not be asked
│   ├── KafkaUnavailable          no broker answered in time
│   │   └── KafkaThrottled            a quota of Kafka's holds back more than there is time for
│   ├── SparkUnavailable          no Spark server answered
│   │   └── SparkLost                 the Spark server went away during a judge job
│   ├── JudgingFailed             the judge job raised, died or passed its deadline
│   │   └── JudgingTimedOut           the judge job passed its deadline and was ended
│   ├── ControlFailed             pictures with a known answer were not judged as they should be
│   ├── SparkOutOfMemory          Spark has too little memory for a batch: it is cut smaller
│   ├── BatchTooBig               a batch holds more bytes than it may: it is split
│   ├── SparkReserved             a suspect batch has the Spark server for itself
│   ├── LedgerUnavailable         the ledger database is down or stays locked
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
    ├── PipelineBlocked           the ledger says blocked: a person or a new credential frees it
    └── StackError                an embedded server does not start or stop
"""

from __future__ import annotations


def encodable(text: str) -> str:
    """Escape what no UTF-8 can carry, such as the odd bytes of a file's name."""
    return text.encode(errors="backslashreplace").decode()


class FrameferryError(Exception):
    """
    Say what happened, to which pipeline, batch and offset, and what to do next.

    Args:
        what: One sentence, without a full stop where a remedy follows.
        remedy: What the reader should do next; empty where only waiting helps.
        where: Coordinates that the message names: pipeline, batch, partition, offset.
    """

    def __init__(self, what: str, *, remedy: str = "", **where: str | int | None) -> None:
        self.what = what
        self.remedy = remedy
        self.where = {key: value for key, value in where.items() if value is not None}
        super().__init__(what)

    def __str__(self) -> str:
        place = ", ".join(f"{key} {value}" for key, value in self.where.items())
        head = f"{place}: {self.what}" if place else self.what
        return encodable(f"{head}. {self.remedy}" if self.remedy else head)

    def at(self, **where: str | int | None) -> FrameferryError:
        """Add coordinates that the raiser could not know; those already there stay."""
        self.where = {**{k: v for k, v in where.items() if v is not None}, **self.where}
        return self


class TransientError(FrameferryError):
    """The same step may succeed later: Airflow retries it."""


class ConnectionUnresolved(TransientError):
    """Airflow has no such connection, or could not be asked."""


class KafkaUnavailable(TransientError):
    """No broker answered in time."""


class KafkaThrottled(KafkaUnavailable):
    """A quota of Kafka's holds back more than there is time for."""


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
    """A batch holds more bytes than it may: it is split."""


class SparkReserved(TransientError):
    """A suspect batch has the Spark server for itself."""


class LedgerUnavailable(TransientError):
    """The ledger database is down or stays locked."""


class FtpUnavailable(TransientError):
    """The FTP server dropped us, timed out, or refused for now (4yz)."""


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
    """The FTP server refuses the job as a whole."""


class LoginRefused(DeliveryRefused):
    """
    The FTP server refuses the user or password.

    `is_plain` where its words leave no doubt that it is these, and not one connection too many.
    """

    is_plain = True


class UnsafePath(TerminalError):
    """A remote path would leave its base or break the protocol."""


class PipelineBlocked(TerminalError):
    """The ledger says blocked: a person or a new credential frees it."""


class StackError(TerminalError):
    """An embedded server does not start or stop."""
