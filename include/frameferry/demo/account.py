"""Account for every picture from outside: produced, in the ledger, and in the FTP folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from frameferry.demo.pictures import DemoPicture
from frameferry.domain.records import sha256_hex
from frameferry.domain.state import Counts, RecordRow
from frameferry.domain.status import BatchState, Status
from frameferry.operations.status import status
from frameferry.pipeline.context import Context

NOTHING = Counts(0, 0, 0, 0, 0, 0, 0, 0, {}, {})
_NEXT = {
    BatchState.PLANNED: "infer",
    BatchState.JUDGED: "deliver",
    BatchState.DELIVERED: "commit",
}
"""The step that comes next, by a batch's state."""


@dataclass(frozen=True, slots=True)
class Account:
    """
    One pipeline's pictures: what came in, what became of them, and what does not add up.

    `pictures` and `counts` are of this round; `committed` and `ends` are offsets of the topic.
    `late` says where the pictures without an answer are: nothing is wrong with those.
    """

    pipeline: str
    pictures: int
    counts: Counts
    committed: int
    ends: int
    first_delivered_at: datetime | None
    problems: tuple[str, ...] = field(default=())
    late: tuple[str, ...] = field(default=())


def is_carried(ctx: Context, pictures: int) -> bool:
    """Say whether the ledger has an answer for every picture and has caught up with Kafka."""
    if answered(ctx.ledger.counts(ctx.pipeline)) < pictures:
        return False
    lags = [partition.lag for partition in status(ctx).partitions]
    return bool(lags) and all(lag == 0 for lag in lags)


def answered(counts: Counts) -> int:
    """Count the pictures whose outcome is known."""
    return counts.delivered + counts.duplicates + counts.quarantined


def since(before: Counts, now: Counts) -> Counts:
    """Count what came after *before*: one ledger holds all rounds of a home."""
    return Counts(
        records=now.records - before.records,
        delivered=now.delivered - before.delivered,
        duplicates=now.duplicates - before.duplicates,
        quarantined=now.quarantined - before.quarantined,
        resolved=now.resolved - before.resolved,
        kept=now.kept - before.kept,
        gaps=now.gaps - before.gaps,
        batches=now.batches - before.batches,
        labels=dict(Counter(now.labels) - Counter(before.labels)),
        reasons=dict(Counter(now.reasons) - Counter(before.reasons)),
    )


def account(
    ctx: Context,
    pictures: Sequence[DemoPicture],
    ftp_root: Path,
    *,
    began: datetime,
    earlier: int = 0,
    before: Counts = NOTHING,
) -> Account:
    """
    Compare what was produced with the ledger and, byte by byte, with the server's folder.

    Args:
        ctx: The pipeline.
        pictures: Every picture ever produced for it, those of earlier rounds first.
        ftp_root: The FTP server's root folder on this machine.
        began: When this command began; older receipts belong to earlier ones.
        earlier: How many of the pictures are of earlier rounds.
        before: What the ledger held when this round began.
    """
    told = status(ctx)
    counts = told.counts
    rows = ctx.ledger.records(ctx.pipeline, limit=10 * len(pictures) + 1000)
    delivered = [row.delivered_at for row in rows if row.delivered_at and row.delivered_at >= began]
    late = _late(told, len(pictures) - answered(counts))
    folder = ftp_root / ctx.settings.deliver.base.strip("/")
    return Account(
        pipeline=ctx.pipeline,
        pictures=len(pictures) - earlier,
        counts=since(before, counts),
        committed=sum(line.committed or 0 for line in told.partitions),
        ends=sum(line.end or 0 for line in told.partitions),
        first_delivered_at=min(delivered, default=None),
        problems=(
            *told.advice,
            *([] if late else _ledger_problems(pictures, counts)),
            *_folder_problems(pictures, rows, _quarantined(ctx), folder),
            *([] if late else _lags(told)),
        ),
        late=late,
    )


def _late(told: Status, waiting: int) -> tuple[str, ...]:
    """Say where the pictures without an answer are, and which step is next."""
    if waiting <= 0:
        return ()
    where = [
        f"batch {leaf.batch} is {leaf.state}"
        + (f", next is {_NEXT[leaf.state]}" if leaf.state in _NEXT else "")
        for leaf in told.open_batches
    ]
    unplanned = sum(max((p.end or 0) - (p.planned or 0), 0) for p in told.partitions)
    if unplanned:
        where.append(f"{unplanned} offsets are in Kafka and in no batch yet")
    places = "; ".join(where) or "all batches are finished"
    hold = "see above for what holds them up" if told.advice else "nothing blocks them"
    line = (
        f"{waiting} pictures are still on their way, not lost: {places}; {hold}. "
        "Run the demo again: it goes on with them"
    )
    return (line,)


def _lags(told: Status) -> Iterable[str]:
    return (
        f"partition {line.partition} lags by {line.lag}"
        for line in told.partitions
        if line.lag != 0
    )


def _quarantined(ctx: Context) -> set[tuple[int, int]]:
    return {(row.partition, row.offset) for row in ctx.ledger.quarantined(ctx.pipeline)}


def _ledger_problems(pictures: Sequence[DemoPicture], counts: Counts) -> Iterable[str]:
    good = sum(picture.deliverable for picture in pictures)
    if counts.delivered != good:
        yield f"{good} pictures should be delivered, the ledger says {counts.delivered}"
    if counts.quarantined != len(pictures) - good:
        bad = len(pictures) - good
        yield f"{bad} pictures should be quarantined, the ledger says {counts.quarantined}"


def _folder_problems(
    pictures: Sequence[DemoPicture],
    rows: Sequence[RecordRow],
    refused: set[tuple[int, int]],
    folder: Path,
) -> Iterator[str]:
    """
    Compare contents as multisets: nothing is missing, double or strange, and no part is left.

    A picture is missing if it has a receipt or is in quarantine; without an answer it is only late.
    """
    wanted = Counter(sha256_hex(picture.value) for picture in pictures if picture.deliverable)
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = Counter(sha256_hex(path.read_bytes()) for path in files)
    received = Counter(row.sha256 for row in rows if row.delivered_at)
    withheld = Counter(row.sha256 for row in rows if (row.partition, row.offset) in refused)
    if missing := (received - found).total():
        yield f"{missing} pictures are missing in {folder}: the ledger has their receipts"
    if wrongly := (withheld & (wanted - found)).total():
        yield f"{wrongly} pictures are quarantined and should be delivered"
    if extra := (found - wanted).total():
        yield f"{extra} files too many, or of other content, in {folder}"
