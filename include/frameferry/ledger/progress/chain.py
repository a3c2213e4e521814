"""The chain: finished ranges and accepted gaps, each beginning where the one before ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection, select

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.tables import batch, batch_range, gap
from frameferry.ledger.progress.pipelines import PipelineKey


def read_links(connection: Connection, key: PipelineKey) -> list[OffsetRange]:
    """Read what the committed offsets may pass: ranges of finished leaves, accepted gaps."""
    finished = (
        select(batch_range.c.partition, batch_range.c.start_offset, batch_range.c.end_offset)
        .join(batch, batch.c.id == batch_range.c.batch_id)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.generation == key.generation,
            batch.c.kind == "live",
            batch.c.split_at.is_(None),
            batch.c.committed_at.is_(None),
            batch.c.delivered_at.is_not(None),
        )
    )
    gaps = select(
        gap.c.partition, gap.c.start_offset, gap.c.end_offset, gap.c.accepted_by.is_not(None)
    ).where(gap.c.pipeline_id == key.id, gap.c.generation == key.generation)
    lost = [(OffsetRange(*place), accepted) for *place, accepted in connection.execute(gaps)]
    whole = [OffsetRange(*row) for row in connection.execute(finished)]
    links = [link for span in whole for link in _around(span, [place for place, _ in lost])]
    return [*links, *(place for place, accepted in lost if accepted)]


def _around(span: OffsetRange, gaps: Iterable[OffsetRange]) -> Iterator[OffsetRange]:
    """Cut a finished range at the gaps within it: what Kafka lost after the range was judged."""
    start = span.start
    for lost in sorted(one for one in gaps if span.overlaps(one)):
        if start < lost.start:
            yield OffsetRange(span.partition, start, lost.start)
        start = max(start, lost.end)
    if start < span.end:
        yield OffsetRange(span.partition, start, span.end)


def follow(committed: Mapping[int, int], links: Iterable[OffsetRange]) -> dict[int, int]:
    """
    Follow the chain from each partition's committed offset to its end.

    Returns:
        The committed (next) offset of every partition in *committed*, never less than it was.
    """
    nexts = {(link.partition, link.start): link.end for link in links}
    ends = {}
    for partition, start in committed.items():
        end = start
        while (further := nexts.get((partition, end))) is not None:
            end = further
        ends[partition] = end
    return ends
