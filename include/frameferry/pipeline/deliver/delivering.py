"""Deliver a batch: settle what a dead attempt left, publish group by group, take the census."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import structlog

from frameferry.delivery.parts import has_sidecar
from frameferry.delivery.publisher import Publisher, Staged
from frameferry.domain.batch import Batch, Token
from frameferry.domain.census import CensusTaker
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import (
    Census,
    Consignment,
    ImageRecord,
    Intent,
    Refusal,
    sha256_hex,
)
from frameferry.domain.sidecar import sidecar_json
from frameferry.errors import (
    Fenced,
    KafkaUnavailable,
    OffsetsLost,
    PredictionsIncomplete,
    RecordChanged,
)
from frameferry.kafka.reader import RangeReader
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.grouping import GROUP_RECORDS, Group, Item, groups
from frameferry.pipeline.deliver.publishing import LazyPublisher
from frameferry.pipeline.judge.trial import was_judged_alone
from frameferry.pipeline.world import losing, world

log = structlog.get_logger()


def deliver_batch(ctx: Context, batch: Batch) -> None:
    """
    Publish every image of the batch that is due, and write the census.

    1. Settle open intents by their parts. 2. End in gaps what Kafka lost meanwhile. 3. Read each
    range to its end by position, checking size and sha256 against the judged rows. 4. Per group:
    stage, intents, rename, receipts. 5. Record the census, which finishes the batch.

    Raises:
        PredictionsIncomplete: The rows are not the records of the range; they were withdrawn.
        RecordChanged: Kafka returned other bytes than were judged.
        TopicChanged, LogExchanged: What was read may be another log's than the batch's.
        DeliveryRefused: The server refuses the job; the pipeline is blocked.
    """
    started = time.monotonic()
    generation = world.state(ctx).generation
    with ExitStack() as stack:
        publisher = LazyPublisher(ctx, batch, stack)
        _settle(ctx, batch.token, publisher)
        census = _delivered(ctx, batch, generation, publisher)
        publisher.sweep()
    world.refuse_exchanged(ctx, generation)
    ctx.ledger.record_census(batch.token, census, seconds=time.monotonic() - started)
    log.info(
        "batch.delivered",
        pipeline=ctx.pipeline,
        batch=batch.id,
        records=sum(part.count for part in census),
        seconds=round(time.monotonic() - started, 2),
    )


def _delivered(
    ctx: Context, batch: Batch, generation: int, publisher: LazyPublisher
) -> list[Census]:
    """
    Deliver what Kafka still holds of the ranges; again where that gets less meanwhile.

    Nothing is concluded from what does not fit the judged rows before it is sure that it is of the
    same log as they.
    """
    held = losing.give_up_lost(ctx, batch)
    while True:
        try:
            return _read_all(ctx, batch, generation, publisher, held)
        except (OffsetsLost, KafkaUnavailable):
            before, held = held, losing.give_up_lost(ctx, batch)
            if held == before:
                raise


def _read_all(
    ctx: Context,
    batch: Batch,
    generation: int,
    publisher: LazyPublisher,
    held: Sequence[OffsetRange],
) -> list[Census]:
    due = {(row.partition, row.offset): row for row in ctx.ledger.consignments(batch.token)}
    recorded = ctx.ledger.recorded_offsets(batch.token)
    census = []
    for wanted in batch.ranges:
        judged = _Judged(due, set(recorded.get(wanted.partition, [])), generation)
        left = next((part for part in held if part.overlaps(wanted)), None)
        if left is None:
            census.append(_nothing_held(wanted))
        else:
            met = _deliver_range(ctx, batch.token, left, judged, publisher)
            census.append(_of_whole(met, wanted))
    return census


def _nothing_held(wanted: OffsetRange) -> Census:
    """Take the census of a range of which Kafka holds nothing any more."""
    return replace(CensusTaker(wanted).census(), seen_to=wanted.end, seen_from=wanted.end)


def _of_whole(met: Census, wanted: OffsetRange) -> Census:
    """State the census of what was left of a range as that of the range."""
    return replace(
        met,
        start=wanted.start,
        end=wanted.end,
        seen_from=None if met.start == wanted.start else met.start,
        held_to=None if met.end == wanted.end else met.end,
        seen_to=met.seen_to if met.seen_to < met.end else max(met.seen_to, wanted.end),
    )


class _Judged(NamedTuple):
    """What the judge said exists: the rows still due, every row's offset, and the generation."""

    due: dict[tuple[int, int], Consignment]
    offsets: set[int]
    generation: int


def _deliver_range(
    ctx: Context,
    token: Token,
    wanted: OffsetRange,
    judged: _Judged,
    publisher: LazyPublisher,
) -> Census:
    reader = ctx.reader(wanted)
    met: set[int] = set()
    checked = _checked(ctx, token, reader, judged, met)
    due = [
        row.record_id
        for row in judged.due.values()
        if row.partition == wanted.partition and row.offset in wanted
    ]
    items = _with_sidecars(ctx, token, checked, due)
    for group in groups(items, len(due)):
        _publish_group(ctx, token, group, publisher.open())
    # Where nothing is due, the range is read to its end all the same.
    deque(items, maxlen=0)
    stray = {offset for offset in judged.offsets if offset in wanted} - met
    if stray:
        world.refuse_exchanged(ctx, judged.generation)
        what = "the judge returned a row for an offset that holds no record"
        _send_back(ctx, token, wanted.partition, min(stray), what)
    return reader.census()


def _checked(
    ctx: Context,
    token: Token,
    reader: RangeReader,
    judged: _Judged,
    met: set[int],
) -> Iterator[Item]:
    """Yield what is due, having compared every record met with what was judged."""
    for record in reader:
        met.add(record.offset)
        if record.offset not in judged.offsets:
            world.refuse_exchanged(ctx, judged.generation)
            what = "the judge returned no row for this record"
            _send_back(ctx, token, record.partition, record.offset, what)
        row = judged.due.get((record.partition, record.offset))
        if row is not None:
            _refuse_changed(ctx, record, row, judged.generation)
            yield row, record.value


def _send_back(ctx: Context, token: Token, partition: int, offset: int, what: str) -> None:
    ctx.ledger.withdraw_predictions(
        token,
        partition=partition,
        offset=offset,
        error=f"{what}: {partition}:{offset}",
        is_proof=was_judged_alone(ctx, ctx.ledger.batch(token.batch_id)),
    )
    raise PredictionsIncomplete(
        what,
        remedy="The next run's infer judges the batch again",
        pipeline=ctx.pipeline,
        batch=token.batch_id,
        partition=partition,
        offset=offset,
    )


def _refuse_changed(ctx: Context, record: ImageRecord, row: Consignment, generation: int) -> None:
    if len(record.value) == row.size_bytes and sha256_hex(record.value) == row.sha256:
        return
    world.refuse_exchanged(ctx, generation)
    msg = (
        f"Kafka holds other bytes ({len(record.value)} of them) than were judged ({row.size_bytes})"
    )
    raise RecordChanged(
        msg,
        remedy="Was its log truncated? Nothing of this record was delivered. To go on with what "
        f"Kafka holds now, run: frameferry topic accept {ctx.pipeline} --reason …",
        pipeline=ctx.pipeline,
        partition=record.partition,
        offset=record.offset,
    )


def _publish_group(ctx: Context, token: Token, group: Group, publisher: Publisher) -> None:
    staged = publisher.stage(group)
    if staged.refused:
        _refuse(ctx, token, staged.refused)
    _intend(ctx, token, staged.staged, publisher)
    published = publisher.publish(staged.staged)
    if published.refused:
        refused = {refusal.record_id for refusal in published.refused}
        ctx.ledger.withdraw_intents(token, sorted(refused))
        _refuse(ctx, token, published.refused)
        publisher.discard([part for part in staged.staged if part.record_id in refused])
    ctx.ledger.record_receipts(token, published.receipts)


def _with_sidecars(
    ctx: Context, token: Token, items: Iterator[Item], due: Sequence[int]
) -> Iterator[Item]:
    """Give each item its sidecar, if the pipeline has some; *due* are the records in order."""
    if ctx.settings.deliver.sidecar == "none":
        yield from items
        return
    contents: dict[int, bytes] = {}
    for row, value in items:
        if row.record_id not in contents:
            start = due.index(row.record_id)
            contents = _sidecars(ctx, token, due[start : start + GROUP_RECORDS])
        yield replace(row, sidecar=contents[row.record_id]), value


def _sidecars(ctx: Context, token: Token, record_ids: Sequence[int]) -> dict[int, bytes]:
    """Write the sidecars of records from what the ledger holds of them."""
    topic = ctx.settings.kafka.topic
    return {
        record_id: sidecar_json(ctx.pipeline, topic, stored)
        for record_id, stored in ctx.ledger.stored_predictions(token, record_ids).items()
    }


def _refuse(ctx: Context, token: Token, refusals: Sequence[Refusal]) -> None:
    limit = ctx.settings.batch.max_quarantine
    ctx.ledger.record_refusals(token, refusals, max_quarantine=limit)


def _intend(ctx: Context, token: Token, parts: Sequence[Staged], publisher: Publisher) -> None:
    """
    Write down which parts may be renamed.

    A fenced attempt's parts are deleted; after any other trouble nobody knows whether the
    intents stand, and a part under an open intent must stay for settling.
    """
    try:
        ctx.ledger.record_intents(token, [(part.record_id, part.part_path) for part in parts])
    except Fenced:
        publisher.discard(parts)
        raise


def _settle(ctx: Context, token: Token, publisher: LazyPublisher) -> None:
    intents = _intents(ctx, token)
    if not intents:
        return
    settled = publisher.open().settle(intents)
    ctx.ledger.record_receipts(token, settled.receipts)
    refused = [refusal.record_id for refusal in settled.refused]
    ctx.ledger.withdraw_intents(token, [*settled.resend, *refused])
    _refuse(ctx, token, settled.refused)
    publisher.open().discard_parts(settled.leftovers)
    log.info(
        "intents.settled",
        pipeline=ctx.pipeline,
        batch=token.batch_id,
        receipts=len(settled.receipts),
        resend=len(settled.resend),
        refused=len(refused),
    )


def _intents(ctx: Context, token: Token) -> list[Intent]:
    """List the open intents; a part that goes with a sidecar's says so, whatever is set now."""
    intents = ctx.ledger.open_intents(token)
    paired = [intent.record_id for intent in intents if has_sidecar(intent.part_path)]
    contents = _sidecars(ctx, token, paired) if paired else {}
    return [replace(intent, sidecar=contents.get(intent.record_id)) for intent in intents]
