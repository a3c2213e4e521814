"""One image, from its Kafka record to its receipt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from frameferry.domain.columns import Met, Said

UNJUDGED = "unjudged"
"""The label of a picture that is delivered although it could not be judged."""
LOST_PART = ".lost-"
"""How the part begins of a record whose file a recovery saw, or that was taken before it."""
UNSEEN_PART = ".unseen-"
"""As much, of a record whose file no list showed. Neither is ever uploaded."""


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

    `reason` is set exactly when the image could not be judged (`detail` then says more); `label`
    is None then. Beside a label `detail` is a remark on the picture, which is kept where most of a
    batch have it. `headers` are those that a name is made of; they are not stored, since the name
    is.
    """

    reason: str | None = None
    detail: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """
    All rows of one batch, with the digest of the model that the workers loaded.

    `loading_seconds` is how long the batch waited for workers that were cold, before their first
    picture; 0 where all were warm. `throttled_seconds` is how long a quota of Kafka's held back
    the reader that it held back most.
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

    `sidecar` is what the sidecar must hold that the part's name speaks of, None where it does not.
    """

    record_id: int
    remote_path: str
    part_path: str
    size_bytes: int
    sha256: str
    sidecar: bytes | None = None

    @property
    def is_unseen(self) -> bool:
        """Say whether nothing speaks for a delivery but that nobody could see all files."""
        return self.part_path.rpartition("/")[2].startswith(UNSEEN_PART)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A final file was verified: `how` is `size`, `size+tls` or `hash:<algorithm>`."""

    record_id: int
    how: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's permanent no to one record, in its own words."""

    record_id: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Census:
    """
    What deliver met in one range, read to its end by position.

    `seen_to` is the position at the end of the read (equal to the range's end when whole);
    `count` the records met; `digest` the sha256 over their offsets in ascending order, each as
    decimal text followed by a newline. `seen_from` is where the read began: beyond the range's
    start where Kafka no longer held what is below; None for its start. `held_to` is where it ended
    for the same reason, before the range's end: above it the log holds other records; None: not.
    """

    partition: int
    start: int
    end: int
    seen_to: int
    count: int
    digest: str
    seen_from: int | None = None
    held_to: int | None = None
