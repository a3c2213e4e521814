"""One image, from its Kafka record to its receipt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from frameferry.domain.columns import Met, Said

UNJUDGED = "unjudged"
"""The label of a picture that is delivered although it could not be judged."""
LOST_PART = ".lost-"
"""How a part's name begins if a recovery saw the record's file, or it was taken before."""
UNSEEN_PART = ".unseen-"
"""The same for a record whose file no list showed. Neither part is ever uploaded."""


def sha256_hex(value: bytes | memoryview) -> str:
    """Digest bytes as every table, receipt and listing shows it."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """
    One Kafka record: the image's bytes and what came with them. `value` may be empty.

    `headers` holds those that were asked for and are there.
    """

    partition: int
    offset: int
    timestamp_ms: int
    source_name: str | None
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction(Said, Met):
    """
    What the judge says of one image: a label and score, or why there are none.

    `reason` is set exactly when the image could not be judged (`detail` then says more); `label` is
    None then. Beside a label `detail` is a remark on the picture, which is kept if most of a batch
    have it. `headers` are those that a name is made of; they are not stored, since the name is.
    """

    reason: str | None = None
    detail: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """
    All rows of one batch, with the digest of the model that the workers loaded.

    `loading_seconds` is how long the batch waited for cold workers, before their first picture; 0
    if all were warm. `throttled_seconds` is the longest time that a Kafka quota held back one
    reader.
    """

    predictions: tuple[Prediction, ...]
    judge_digest: str
    loading_seconds: float = 0.0
    throttled_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NamedPrediction:
    """
    A prediction with the frozen place of its file.

    `remote_path` is absolute and full (base and name); `quarantine` says why the record is not
    to be delivered: (reason, detail), None for a record that is.
    """

    prediction: Prediction
    remote_path: str
    quarantine: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as the ledger holds it, with its frozen place and the judge's digest."""

    prediction: Prediction
    remote_path: str
    judge_digest: str | None


@dataclass(frozen=True, slots=True)
class Consignment:
    """
    A record row that still has to be delivered: where to, and what its bytes must be.

    `sidecar` is what goes beside it, None for nothing.
    """

    record_id: int
    partition: int
    offset: int
    remote_path: str
    size_bytes: int
    sha256: str
    sidecar: bytes | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """
    A part that may be renamed, or may have been: what a settling attempt looks at.

    `sidecar` is what the sidecar must hold if the part's name speaks of one, None if it does not.
    """

    record_id: int
    remote_path: str
    part_path: str
    size_bytes: int
    sha256: str
    sidecar: bytes | None = None

    @property
    def is_unseen(self) -> bool:
        """Say whether a delivery is possible only because nobody could see all files."""
        return self.part_path.rpartition("/")[2].startswith(UNSEEN_PART)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A final file was verified: `how` is `size`, `size+tls` or `hash:<algorithm>`."""

    record_id: int
    how: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's permanent refusal of one record, in its own words."""

    record_id: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Census:
    """
    What deliver met in one range, read to its end by position.

    `seen_to` is the position at the end of the read (equal to the range's end when whole); `count`
    the records met; `digest` the sha256 over their offsets in ascending order, each as decimal text
    followed by a newline. `seen_from` is where the read began: None for the range's start, or
    beyond it if Kafka no longer held what is below. `held_to` is where it ended before the range's
    end, since the log holds other records above; None if it did not.
    """

    partition: int
    start: int
    end: int
    seen_to: int
    count: int
    digest: str
    seen_from: int | None = None
    held_to: int | None = None
