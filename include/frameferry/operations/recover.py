"""Recover a pipeline whose ledger is older than the world: look, write down, and go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import structlog

from frameferry.domain.offsets import Watermarks
from frameferry.domain.positions import PositionReader
from frameferry.domain.state import PipelineState
from frameferry.errors import ConfigError, Where
from frameferry.operations.looking import Found, clear, look, verified
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import one_connection
from frameferry.pipeline.world import witness, world
from frameferry.pipeline.world.witness import Testimony

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What a person says of things that cannot be known.

    `taken_to` is an offset per partition: a file missing below it was taken away by its consumer.
    `send_beyond` sends a file that is missing beyond the mirror, although it may have been
    delivered and taken.
    """

    taken_to: Mapping[int, int]
    send_beyond: bool


@dataclass(frozen=True, slots=True)
class Recovered:
    """
    One partition after a recovery.

    `seen` files are of records that the ledger forgot. Kafka no longer holds `expired` of them, so
    that they become part of a gap. `taken_to` is None if a missing file is sent again.
    """

    partition: int
    committed: int
    mirrored: int | None
    end: int
    seen: int
    expired: int
    taken_to: int | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """
    A recovery: what was found, by partition, and on the server as a whole.

    `unlisted` are folders that the server may not have shown in full, each with the reason.
    """

    pipeline: str
    dry_run: bool
    partitions: tuple[Recovered, ...]
    files: int
    parts: int
    strange: tuple[str, ...]
    unlisted: tuple[tuple[str, str], ...]
    in_doubt: int
    epoch: str

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        seen = sum(one.seen for one in self.partitions)
        return (
            f"{self.files:,} files looked at, {seen:,} of them of records that the ledger forgot; "
            f"{self.parts:,} parts, {len(self.strange):,} files of nobody's"
            + (f"; {len(self.unlisted):,} folders not listed whole" if self.unlisted else "")
        )


_STRANGE_SHOWN = 20
_UNLISTED_TOLD = 1_000


def recover(ctx: Context, decision: Decision, *, verify: bool, dry_run: bool, who: str) -> Recovery:
    """
    Find deliveries that the ledger does not know of, and let the pipeline go on.

    1. Ask Kafka and the witness. 2. If the mirror bears the ledger's epoch or is gone, fence
    whatever still works by that epoch. 3. List the base, and recognise each record's file by its
    name; delete the parts of the lost life. 4. Write down what was seen, and up to where there may
    be more: a list need not be whole. 5. Write the mirror anew if it was gone. Nothing is delivered
    here. The next runs judge again what was forgotten, and settle each file that was seen like a
    rename in doubt. They look for any other file by its name before they send it.

    Args:
        ctx: The pipeline.
        decision: What a person says of what cannot be known.
        verify: Read each file that was seen back, and note its sha256.
        dry_run: Only look.
        who: The person, for the record.

    Raises:
        ConfigError: Names do not say which record a file is, or a decision is missing or wrong.
        LedgerConflict: Somebody works on the pipeline.
        KafkaUnavailable, FtpUnavailable, DeliveryRefused: The world cannot be looked at.
    """
    view = world.observe(ctx).view
    heard = witness.hear(ctx)
    known = world.state(ctx)
    said = witness.understand(known, heard)
    is_gone = bool(witness.missing_partitions(known, heard))
    reader = _reader(ctx, known)
    taken_to = _taken_to(ctx, known, view.watermarks, said, decision)
    lost = _lost_lives(ctx, said)
    if not dry_run and (is_gone or _is_same_life(ctx, known, said)):
        # Otherwise the lost life's tokens would pass; without a mirror nobody knows its epoch.
        lost.add(ctx.ledger.epoch())
        ctx.ledger.renew_epoch(ctx.pipeline, who=who)
    with one_connection(ctx) as ftp:
        found = look(ctx, ftp, known, view.watermarks, reader)
        if not dry_run and not clear(ctx, ftp, found.parts, lost):
            found = look(ctx, ftp, known, view.watermarks, reader)
        if verify:
            found.seen = list(verified(ftp, found.seen))
    recovery = Recovery(
        pipeline=ctx.pipeline,
        dry_run=dry_run,
        partitions=tuple(_partitions(known, view.watermarks, said, found, taken_to)),
        files=found.files,
        parts=len(found.parts),
        strange=tuple(found.strange[:_STRANGE_SHOWN]),
        unlisted=tuple(found.unlisted[:_UNLISTED_TOLD]),
        in_doubt=0,
        epoch=ctx.ledger.epoch(),
    )
    if dry_run:
        return recovery
    recovery = _written(ctx, recovery, found, said, taken_to, who)
    if is_gone:
        witness.vouch(ctx)
    return recovery


def _reader(ctx: Context, known: PipelineState) -> PositionReader:
    try:
        return PositionReader(
            ctx.settings.deliver.name, pipeline=ctx.pipeline, generation=known.generation
        )
    except ValueError as error:
        remedy = (
            "Nothing can be recovered from the server by such names: restore the newest backup "
            "there is, or let a pipeline of a new name, with a new ledger, send all again"
        )
        raise ConfigError(str(error), remedy=remedy, pipeline=ctx.pipeline) from error


def _taken_to(
    ctx: Context,
    known: PipelineState,
    marks: Mapping[int, Watermarks],
    said: Mapping[int, Testimony],
    decision: Decision,
) -> dict[int, int]:
    """Decide below which offset missing files were taken away; a person says what is unknown."""
    if ctx.settings.deliver.after == "kept":
        _refuse_needless(ctx, decision)
        return {}
    for partition, offset in decision.taken_to.items():
        _refuse_outside(ctx, known, marks, partition, offset)
    mirrored = {at: one.offset for at, one in said.items() if one.offset > 0}
    unknown = [
        f"{at} from {mirrored.get(at, known.progress[at].committed)}"
        for at in sorted(marks)
        if at not in decision.taken_to
        and marks[at].end > mirrored.get(at, known.progress[at].committed)
    ]
    if unknown and not decision.send_beyond:
        msg = (
            "files are taken away, so whether the last ones were delivered cannot be seen: "
            f"partition {', '.join(unknown)} on"
        )
        remedy = (
            "Ask the consumer for the newest file it has, and say --taken-to PARTITION:OFFSET "
            "(the one after it); or say --send-beyond: some may arrive twice"
        )
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)
    return {**mirrored, **decision.taken_to}


def _refuse_needless(ctx: Context, decision: Decision) -> None:
    if decision.taken_to or decision.send_beyond:
        msg = "deliver.after is kept: a file that is not there is sent again, there is no choice"
        raise ConfigError(
            msg,
            remedy="Leave --taken-to and --send-beyond out, or set deliver.after: taken",
            pipeline=ctx.pipeline,
        )


def _refuse_outside(
    ctx: Context,
    known: PipelineState,
    marks: Mapping[int, Watermarks],
    partition: int,
    offset: int,
) -> None:
    where: Where = {"pipeline": ctx.pipeline, "partition": partition}
    if partition not in marks or partition not in known.progress:
        has = ", ".join(map(str, sorted(marks)))
        msg = f"--taken-to: this pipeline has no such partition; it has: {has}"
        raise ConfigError(msg, remedy="Name one of these", **where)
    low, end = known.progress[partition].committed, marks[partition].end
    if not low <= offset <= end:
        msg = f"--taken-to: {offset} lies outside {low} (committed) to {end} (Kafka's end)"
        raise ConfigError(msg, remedy="Name an offset between them", **where)


def _is_same_life(ctx: Context, known: PipelineState, said: Mapping[int, Testimony]) -> bool:
    """Say whether the lost life had this ledger's epoch."""
    ahead = [at for at, one in said.items() if witness.is_ahead(known, at, one)]
    return any(said[at].epoch == ctx.ledger.epoch() for at in ahead)


def _lost_lives(ctx: Context, said: Mapping[int, Testimony]) -> set[str]:
    """Name the epochs that the mirror was written in, and that are over."""
    return {one.epoch for one in said.values()} - {ctx.ledger.epoch(), ""}


def _partitions(
    known: PipelineState,
    marks: Mapping[int, Watermarks],
    said: Mapping[int, Testimony],
    found: Found,
    taken_to: Mapping[int, int],
) -> Iterator[Recovered]:
    for partition in sorted(set(known.progress) & set(marks)):
        offsets = [one.offset for one in found.seen if one.partition == partition]
        yield Recovered(
            partition=partition,
            committed=known.progress[partition].committed,
            mirrored=said[partition].offset if partition in said else None,
            end=marks[partition].end,
            seen=len(offsets),
            expired=sum(offset < marks[partition].low for offset in offsets),
            taken_to=taken_to.get(partition),
        )


def _written(
    ctx: Context,
    recovery: Recovery,
    found: Found,
    said: Mapping[int, Testimony],
    taken_to: Mapping[int, int],
    who: str,
) -> Recovery:
    # Two files may bear one record's position, under two labels: looking for one is enough.
    seen = {(one.partition, one.offset): one for one in found.seen}
    in_doubt = ctx.ledger.record_recovery(
        ctx.pipeline,
        recovered_to={partition: one.offset for partition, one in said.items()},
        taken_to=taken_to,
        looked_to=found.looked_to,
        destination=ctx.ftp.destination,
        seen=list(seen.values()),
        who=who,
        detail=recovery.sentence,
    )
    for folder, flaw in recovery.unlisted[:_STRANGE_SHOWN]:
        log.warning("folder.not_listed_whole", pipeline=ctx.pipeline, folder=folder, why=flaw)
    log.info("pipeline.recovered", pipeline=ctx.pipeline, found=recovery.sentence)
    return replace(recovery, in_doubt=in_doubt, epoch=ctx.ledger.epoch())
