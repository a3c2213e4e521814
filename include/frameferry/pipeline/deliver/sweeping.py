"""Sweep away the parts of dead attempts, but only those that the ledger gives up for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from frameferry.delivery.parts import sidecar_part
from frameferry.delivery.publisher import Publisher
from frameferry.delivery.sweeping import FoundPart, delete_parts, find_parts
from frameferry.domain.batch import Batch
from frameferry.domain.state import PartFates
from frameferry.errors import DeliveryRefused, FrameferryError
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.paths import is_within
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import one_connection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Swept:
    """Parts that were found: `deleted` (or to be), and `left`, each with the reason."""

    folders: int
    deleted: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


def sweep(ctx: Context, *, dry_run: bool) -> Swept:
    """
    Delete the orphaned parts of all batches of a pipeline.

    It looks only into folders where an attempt of this ledger may have left some, below the base
    or another that a replay put copies below.

    Raises:
        FtpUnavailable: Nothing answers, or it was cut off; what was deleted is deleted.
        DeliveryRefused, PipelineBlocked: The server refuses the log-in, or did before.
    """
    folders = ctx.ledger.litter_folders(ctx.pipeline, destination=ctx.ftp.destination)
    if not folders:
        return Swept(0, (), ())
    bases = [ctx.settings.deliver.base, *ctx.ledger.replay_bases(ctx.pipeline)]
    with one_connection(ctx) as ftp:
        return _sweep(ctx, ftp, folders, bases=bases, dry_run=dry_run)


def sweep_after(ctx: Context, batch: Batch, publisher: Publisher) -> None:
    """
    Delete what earlier attempts at a batch left, at the end of its delivery.

    Trouble with it is logged, and does not fail the delivery.
    """
    try:
        with publisher.lent() as ftp:
            folders = ctx.ledger.litter_folders(
                ctx.pipeline, destination=ctx.ftp.destination, batch_id=batch.id
            )
            base = ctx.settings.deliver.base
            swept = _sweep(ctx, ftp, folders, bases=[base], dry_run=False)
    except FrameferryError as error:
        log.warning("parts.not_swept", pipeline=ctx.pipeline, batch=batch.id, error=str(error))
        return
    log.info("parts.swept", pipeline=ctx.pipeline, batch=batch.id, deleted=len(swept.deleted))


def _sweep(
    ctx: Context, ftp: FerryFTP, folders: Sequence[str], *, bases: Sequence[str], dry_run: bool
) -> Swept:
    deleted: list[str] = []
    left: list[tuple[str, str]] = []
    for folder in folders:
        base = next((base for base in bases if is_within(folder, base)), None)
        if base is None:
            left.append((folder, "outside the base"))
            continue
        ftp.confine(base)
        try:
            found = list(find_parts(ftp, folder, base=base))
        except DeliveryRefused as refusal:
            left.append((folder, refusal.what))
            continue
        reasons = reasons_to_stay(ctx, found)
        orphans = [part.path for part in found if part.path not in reasons]
        refused = {} if dry_run else delete_parts(ftp, orphans)
        deleted += [path for path in orphans if path not in refused]
        left += reasons.items()
        left += [(path, f"the server refuses: {words}") for path, words in refused.items()]
    return Swept(len(folders), tuple(deleted), tuple(left))


def reasons_to_stay(ctx: Context, found: Sequence[FoundPart]) -> dict[str, str]:
    """Say by path why parts must not be deleted; a part that may be is left out."""
    fates = ctx.ledger.part_fates(
        ctx.pipeline,
        {part.tag.batch_id for part in found},
        destination=ctx.ftp.destination,
        paths=[part.path for part in found],
    )
    epoch = ctx.ledger.epoch()
    reasons = {part.path: _reason_to_stay(part, fates, epoch) for part in found}
    return {path: reason for path, reason in reasons.items() if reason is not None}


def _reason_to_stay(part: FoundPart, fates: PartFates, epoch: str) -> str | None:
    """Say why a part must not be deleted; None if it may."""
    if part.path in fates.final_names:
        return "it is a picture's final name"
    if not epoch.startswith(part.tag.epoch):
        return "of another ledger, or of this one before a restore"
    ended = fates.ended_through.get(part.tag.batch_id)
    if ended is None:
        return "of no batch of this pipeline"
    if part.tag.attempt > ended:
        return "its attempt may be at work"
    if part.path in fates.open_parts or part.path in map(sidecar_part, fates.open_parts):
        return "an open intent names it: the next delivery settles it"
    return None
