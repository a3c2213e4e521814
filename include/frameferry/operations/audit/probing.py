"""Read Kafka again where the ledger knows of no record, or everywhere, and compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from frameferry.domain.audit import CountedRange, Kind, place
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.state import PipelineState
from frameferry.errors import OffsetsLost
from frameferry.kafka.cluster import TopicView
from frameferry.operations.audit.collecting import Collector
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world
from frameferry.pipeline.world.truncation import refuse_truncated

_PROBE_OFFSETS: Final = 1_000
"""Of one stretch without a row: what aborted transactions leave may be long."""


def look_at_topic(ctx: Context, known: PipelineState) -> TopicView:
    """
    Ask Kafka what it holds of the pipeline's partitions, and make sure that it is the same log.

    Raises:
        KafkaUnavailable, TopicMissing: Nobody can say.
        TopicChanged: Another topic has this name, or a log was cut short.
    """
    with ctx.cluster() as cluster:
        view = cluster.view(ctx.settings.kafka.topic, tuple(sorted(known.progress)))
    world.refuse_other_topic(ctx, view)
    refuse_truncated(ctx, known, view)
    return view


def probe(ctx: Context, generation: int, rowless: Sequence[OffsetRange], found: Collector) -> None:
    """
    Look for records in stretches without a row: there should be none.

    Raises:
        KafkaUnavailable: No progress.
    """
    for stretch in rowless:
        end = min(stretch.end, stretch.start + _PROBE_OFFSETS)
        try:
            for record in ctx.reader(OffsetRange(stretch.partition, stretch.start, end)):
                where = place(generation, record.partition, record.offset)
                detail = f"Kafka holds a record of {len(record.value):,} bytes, without a row"
                found.add(Kind.unanswered, place=where, detail=detail)
        except OffsetsLost:
            continue  # retention was faster


def recount(
    ctx: Context,
    generation: int,
    counted: Sequence[CountedRange],
    marks: Mapping[int, Watermarks],
    found: Collector,
) -> None:
    """
    Read each range that Kafka still holds as a whole, and compare it with its census.

    Raises:
        KafkaUnavailable: No progress.
    """
    for one in counted:
        if one.partition not in marks or one.seen_from < marks[one.partition].low:
            continue
        if one.seen_from >= one.end:
            continue  # nothing of it was there to be counted
        reader = ctx.reader(OffsetRange(one.partition, one.seen_from, one.end))
        try:
            held = sum(1 for _ in reader)
        except OffsetsLost:
            continue  # retention was faster
        found.add(Kind.recounted)
        census = reader.census()
        if (census.count, census.digest) != (one.records, one.digest):
            where = place(generation, one.partition, one.start)
            detail = f"batch {one.batch_id}, {one.offsets}: Kafka holds {held:,} records"
            found.add(
                Kind.miscounted, place=where, detail=f"{detail}, {one.records:,} were counted"
            )
