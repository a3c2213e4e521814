"""Deliver a batch: settle what a dead attempt left, publish group by group, take the census."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import NoReturn

import structlog

from frameferry.delivery.parts import has_sidecar
from frameferry.delivery.publisher import Publisher, Staged
from frameferry.domain.batch import Batch
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
from frameferry.pipeline.deliver.keeping import Keeper
from frameferry.pipeline.deliver.publishing import LazyPublisher
from frameferry.pipeline.judge.trial import was_judged_alone
from frameferry.pipeline.world import losing, world

log = structlog.get_logger()


def deliver_batch(ctx: Context, batch: Batch) -> None:
    """
    Publish every due image of the batch, and write the census.

    1. Settle open intents by their parts. 2. Turn what Kafka lost meanwhile into gaps. 3. Read each
    range to its end by position, checking size and sha256 against the judged rows. 4. Per group:
    stage, intents, rename, receipts. 5. Record the census, which finishes the batch. 6. Keep the
    bytes of what is in quarantine, as far as that is wanted.

    Raises:
        PredictionsIncomplete: The rows are not the records of the range; they were withdrawn.
        RecordChanged: Kafka returned other bytes than were judged.
        TopicChanged, LogExchanged: What was read may come from another log than the batch's.
        DeliveryRefused: The server refuses the job; the pipeline is blocked.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        delivery = _Delivery(ctx, batch, LazyPublisher(ctx, batch, stack), Keeper(ctx))
        delivery.settle()
        census = delivery.carry()
        delivery.publisher.sweep()
    world.refuse_exchanged(ctx, delivery.generation)
    ctx.ledger.record_census(batch.token, census, seconds=time.monotonic() - started)
    delivery.keeper.finish()
    log.info(
        "batch.delivered",
        pipeline=ctx.pipeline,
        batch=batch.id,
        records=sum(part.count for part in census),
        seconds=round(time.monotonic() - started, 2),
    )


@dataclass(slots=True)
class _Delivery:
    """
    One attempt's delivery of one batch: what is due, and the way to the server.

    `due` holds the rows that still need an answer. `recorded` holds every row's offset by
    partition: what the judge said exists. `generation` is the ledger's, read before Kafka was found
    to hold the batch.
    """

    ctx: Context
    batch: Batch
    publisher: LazyPublisher
    keeper: Keeper
    due: dict[tuple[int, int], Consignment] = field(default_factory=dict)
    recorded: dict[int, list[int]] = field(default_factory=dict)
    generation: int = 0

    def settle(self) -> None:
        """Find out what became of each open intent, by its part."""
        intents = self._open_intents()
        if not intents:
            return
        settled = self.publisher.open().settle(intents)
        ledger, token = self.ctx.ledger, self.batch.token
        ledger.record_receipts(token, settled.receipts)
        refused = [refusal.record_id for refusal in settled.refused]
        ledger.withdraw_intents(token, [*settled.resend, *refused])
        self._refuse(settled.refused)
        self.publisher.open().discard_parts(settled.leftovers)
        log.info(
            "intents.settled",
            pipeline=self.ctx.pipeline,
            batch=self.batch.id,
            receipts=len(settled.receipts),
            resend=len(settled.resend),
            refused=len(refused),
        )

    def carry(self) -> list[Census]:
        """
        Deliver what Kafka still holds of the ranges; try again if that shrinks meanwhile.

        A record that does not fit the judged rows proves nothing until it is known to come from the
        same log.
        """
        seen = world.observe(self.ctx)
        self.generation = seen.generation
        left = losing.give_up_lost(self.ctx, self.batch, seen)
        while True:
            try:
                return self._read_all(left)
            except (OffsetsLost, KafkaUnavailable):
                before = left
                left = losing.give_up_lost(self.ctx, self.batch, world.observe(self.ctx))
                if left == before:
                    raise

    def _read_all(self, left: Sequence[OffsetRange]) -> list[Census]:
        rows = self.ctx.ledger.consignments(self.batch.token)
        self.due = {(row.partition, row.offset): row for row in rows}
        self.recorded = self.ctx.ledger.recorded_offsets(self.batch.token)
        self.keeper.look()
        census = []
        for wanted in self.batch.ranges:
            part = next((part for part in left if part.overlaps(wanted)), None)
            if part is None:
                census.append(_nothing_held(wanted))
            else:
                census.append(_of_whole(self._deliver_range(part), wanted))
        return census

    def _deliver_range(self, wanted: OffsetRange) -> Census:
        reader = self.ctx.reader(wanted)
        recorded = {at for at in self.recorded.get(wanted.partition, []) if at in wanted}
        met: set[int] = set()
        due = [
            row.record_id
            for row in self.due.values()
            if row.partition == wanted.partition and row.offset in wanted
        ]
        items = self._with_sidecars(self._checked(reader, recorded, met), due)
        for group in groups(items, len(due)):
            self._publish(group, self.publisher.open())
        # The census needs the range read to its end, even if nothing is due.
        deque(items, maxlen=0)
        if stray := recorded - met:
            what = "the judge returned a row for an offset that holds no record"
            self._send_back(wanted.partition, min(stray), what)
        return reader.census()

    def _checked(self, reader: RangeReader, recorded: set[int], met: set[int]) -> Iterator[Item]:
        """Yield what is due, and compare every record met with what was judged."""
        for record in reader:
            met.add(record.offset)
            if record.offset not in recorded:
                what = "the judge returned no row for this record"
                self._send_back(record.partition, record.offset, what)
            self.keeper.offer(record, self.batch.generation)
            row = self.due.get((record.partition, record.offset))
            if row is not None:
                self._refuse_changed(record, row)
                yield row, record.value

    def _send_back(self, partition: int, offset: int, what: str) -> NoReturn:
        world.refuse_exchanged(self.ctx, self.generation)
        self.ctx.ledger.withdraw_predictions(
            self.batch.token,
            partition=partition,
            offset=offset,
            error=f"{what}: {partition}:{offset}",
            is_proof=was_judged_alone(self.ctx, self.batch),
        )
        raise PredictionsIncomplete(
            what,
            remedy="The next run's infer judges the batch again",
            pipeline=self.ctx.pipeline,
            batch=self.batch.id,
            partition=partition,
            offset=offset,
        )

    def _refuse_changed(self, record: ImageRecord, row: Consignment) -> None:
        size = len(record.value)
        if size == row.size_bytes and sha256_hex(record.value) == row.sha256:
            return
        world.refuse_exchanged(self.ctx, self.generation)
        msg = f"Kafka holds other bytes ({size} of them) than were judged ({row.size_bytes})"
        raise RecordChanged(
            msg,
            remedy="Was its log truncated? Nothing of this record was delivered. To go on with "
            f"what Kafka holds now, run: frameferry topic accept {self.ctx.pipeline} --reason …",
            pipeline=self.ctx.pipeline,
            partition=record.partition,
            offset=record.offset,
        )

    def _publish(self, group: Group, publisher: Publisher) -> None:
        ledger, token = self.ctx.ledger, self.batch.token
        staged = publisher.stage(group)
        if staged.refused:
            self._refuse(staged.refused)
        self._intend(staged.staged, publisher)
        published = publisher.publish(staged.staged)
        if published.refused:
            refused = {refusal.record_id for refusal in published.refused}
            ledger.withdraw_intents(token, sorted(refused))
            self._refuse(published.refused)
            publisher.discard([part for part in staged.staged if part.record_id in refused])
        ledger.record_receipts(token, published.receipts)

    def _intend(self, parts: Sequence[Staged], publisher: Publisher) -> None:
        """
        Write down which parts may be renamed.

        A fenced attempt's parts are deleted. After any other trouble nobody knows whether the
        intents stand, and a part under an open intent must stay for settling.
        """
        intended = [(part.record_id, part.part_path) for part in parts]
        try:
            self.ctx.ledger.record_intents(self.batch.token, intended)
        except Fenced:
            publisher.discard(parts)
            raise

    def _refuse(self, refusals: Sequence[Refusal]) -> None:
        limit = self.ctx.settings.batch.max_quarantine
        self.ctx.ledger.record_refusals(self.batch.token, refusals, max_quarantine=limit)

    def _with_sidecars(self, items: Iterator[Item], due: Sequence[int]) -> Iterator[Item]:
        """Give each item its sidecar, if the pipeline has some; *due* are the records in order."""
        if self.ctx.settings.deliver.sidecar == "none":
            yield from items
            return
        contents: dict[int, bytes] = {}
        for row, value in items:
            if row.record_id not in contents:
                start = due.index(row.record_id)
                contents = self._sidecars(due[start : start + GROUP_RECORDS])
            yield replace(row, sidecar=contents[row.record_id]), value

    def _sidecars(self, record_ids: Sequence[int]) -> dict[int, bytes]:
        """Write the sidecars of records from what the ledger holds of them."""
        said = self.ctx.ledger.stored_predictions(self.batch.token, record_ids)
        topic = self.ctx.settings.kafka.topic
        return {at: sidecar_json(self.ctx.pipeline, topic, stored) for at, stored in said.items()}

    def _open_intents(self) -> list[Intent]:
        """List the open intents. A part with a sidecar says so, whatever the settings are now."""
        intents = self.ctx.ledger.open_intents(self.batch.token)
        paired = [intent.record_id for intent in intents if has_sidecar(intent.part_path)]
        contents = self._sidecars(paired) if paired else {}
        return [replace(intent, sidecar=contents.get(intent.record_id)) for intent in intents]


def _nothing_held(wanted: OffsetRange) -> Census:
    """Take the census of a range when Kafka holds nothing of it any more."""
    return replace(CensusTaker(wanted).census(), seen_to=wanted.end, seen_from=wanted.end)


def _of_whole(met: Census, wanted: OffsetRange) -> Census:
    """Turn the census of what was left of a range into one of the whole range."""
    return replace(
        met,
        start=wanted.start,
        end=wanted.end,
        seen_from=None if met.start == wanted.start else met.start,
        held_to=None if met.end == wanted.end else met.end,
        seen_to=met.seen_to if met.seen_to < met.end else max(met.seen_to, wanted.end),
    )
