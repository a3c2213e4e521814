"""Account for every picture from outside: produced, in the ledger, and in the FTP folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from frameferry.demo.pictures import DemoPicture
from frameferry.domain.records import sha256_hex
from frameferry.domain.state import Counts
from frameferry.pipeline.context import Context
from frameferry.pipeline.status import status


@dataclass(frozen=True, slots=True)
class Account:
    """One pipeline's pictures: what came in, what became of them, and what does not add up."""

    pipeline: str
    pictures: int
    counts: Counts
    committed: int
    ends: int
    first_delivered_at: datetime | None
    problems: tuple[str, ...] = field(default=())


def is_carried(ctx: Context, pictures: int) -> bool:
    """Say whether the ledger has an answer for every picture and has caught up with Kafka."""
    counts = ctx.ledger.counts(ctx.pipeline)
    if counts.delivered + counts.duplicates + counts.quarantined < pictures:
        return False
    lags = [line["lag"] for line in status(ctx)["partitions"]]
    return bool(lags) and all(lag == 0 for lag in lags)


def account(
    ctx: Context, pictures: Sequence[DemoPicture], ftp_root: Path, *, since: datetime
) -> Account:
    """
    Compare what was produced with the ledger and, byte by byte, with the server's folder.

    Args:
        ctx: The pipeline.
        pictures: Every picture ever produced for it.
        ftp_root: The FTP server's root folder on this machine.
        since: When this run of the demo began; earlier rounds have their receipts, too.
    """
    counts = ctx.ledger.counts(ctx.pipeline)
    told = status(ctx)
    partitions = told["partitions"]
    rows = ctx.ledger.records(ctx.pipeline, limit=10 * len(pictures) + 1000)
    delivered = [row.delivered_at for row in rows if row.delivered_at and row.delivered_at >= since]
    return Account(
        pipeline=ctx.pipeline,
        pictures=len(pictures),
        counts=counts,
        committed=sum(line["committed"] or 0 for line in partitions),
        ends=sum(line["end"] or 0 for line in partitions),
        first_delivered_at=min(delivered, default=None),
        problems=(
            *told["advice"],
            *_ledger_problems(pictures, counts),
            *_folder_problems(pictures, ftp_root / ctx.settings.deliver.base.strip("/")),
            *(
                f"partition {line['partition']} lags by {line['lag']}"
                for line in partitions
                if line["lag"] != 0
            ),
        ),
    )


def _ledger_problems(pictures: Sequence[DemoPicture], counts: Counts) -> Iterable[str]:
    good = sum(picture.deliverable for picture in pictures)
    if counts.delivered != good:
        yield f"{good} pictures should be delivered, the ledger says {counts.delivered}"
    if counts.quarantined != len(pictures) - good:
        bad = len(pictures) - good
        yield f"{bad} pictures should be quarantined, the ledger says {counts.quarantined}"


def _folder_problems(pictures: Sequence[DemoPicture], folder: Path) -> Iterable[str]:
    """Compare contents as multisets: nothing missing, double or strange, and no part left."""
    wanted = Counter(sha256_hex(picture.value) for picture in pictures if picture.deliverable)
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = Counter(sha256_hex(path.read_bytes()) for path in files)
    if missing := (wanted - found).total():
        yield f"{missing} pictures are missing in {folder}"
    if extra := (found - wanted).total():
        yield f"{extra} files too many, or of other content, in {folder}"
