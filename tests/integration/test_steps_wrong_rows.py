"""Deliver meets the records itself: rows that are not theirs never become files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.polling import poll

from frameferry.domain.naming import join_base
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction, Prediction, sha256_hex
from frameferry.errors import PredictionsIncomplete, RecordChanged
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch
from frameferry.pipeline.world import world

VALUES = [f"picture {number}".encode() for number in range(6)]


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic(partitions=1)
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    kafka_server.produce(topic, VALUES)
    return made


@pytest.fixture
def ctx(ferry: FerryBench) -> Iterator[Context]:
    with ferry.context() as opened:
        yield opened


def row(ctx: Context, offset: int, value: bytes) -> NamedPrediction:
    said = Prediction(
        partition=0,
        offset=offset,
        timestamp_ms=-1,
        source_name=None,
        size_bytes=len(value),
        sha256=sha256_hex(value),
    )
    return NamedPrediction(said, join_base(ctx.settings.deliver.base, f"0-{offset}"))


def judge_wrongly(ctx: Context, rows: Sequence[NamedPrediction]) -> int:
    [batch_id] = steps.plan(ctx).batch_ids
    batch = ctx.ledger.claim(batch_id, owner="a judge that errs", lease_seconds=30)
    ctx.ledger.record_predictions(
        batch.token, rows, destination=ctx.ftp.destination, judge_digest=None, seconds=0.1
    )
    ctx.ledger.release(batch.token)
    return batch_id


def right_rows(ctx: Context) -> list[NamedPrediction]:
    return [row(ctx, offset, value) for offset, value in enumerate(VALUES)]


def contents(ferry: FerryBench, ftp_server: Any) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


@pytest.mark.parametrize("missing", [{0}, {3}, {5}, set(range(6))])
def test_a_record_without_a_row_is_judged_again(
    ferry: FerryBench, ctx: Context, ftp_server: Any, missing: set[int]
) -> None:
    rows = [one for one in right_rows(ctx) if one.prediction.offset not in missing]
    batch = judge_wrongly(ctx, rows)
    with pytest.raises(PredictionsIncomplete, match="no row") as caught:
        steps.deliver(ctx, batch)
    assert caught.value.where.offset == min(missing)
    assert contents(ferry, ftp_server) == []
    run_batch(ctx, batch)
    assert contents(ferry, ftp_server) == sorted(VALUES)
    assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 6}


def test_a_row_without_a_record_is_judged_again(
    ferry: FerryBench, kafka_server: Any, ctx: Context, ftp_server: Any
) -> None:
    kafka_server.produce_transaction(ctx.settings.kafka.topic, [b"aborted"], abort=True)
    poll(lambda: world.observe(ctx).view.watermarks[0].end == 8, "the abort to be stable")
    batch = judge_wrongly(ctx, [*right_rows(ctx), row(ctx, 6, b"aborted")])
    with pytest.raises(PredictionsIncomplete, match="holds no record"):
        steps.deliver(ctx, batch)
    # The task's next tries have nothing to do.
    steps.deliver(ctx, batch)
    assert steps.commit(ctx, batch) == {0: 0}
    steps.verdict(ctx, [batch])
    # What was delivered by then has a piece of its own, and only the rest is judged again.
    delivered, rest = steps.plan(ctx).batch_ids
    assert ctx.ledger.batch(delivered).ranges == (OffsetRange(0, 0, 6),)
    assert ctx.ledger.batch(rest).inferred_at is None
    for piece in (delivered, rest):
        run_batch(ctx, piece)
    assert contents(ferry, ftp_server) == sorted(VALUES)
    assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 8}


@pytest.mark.parametrize("other", [b"other bytes than these", b"picture X"])
def test_other_bytes_than_were_judged_are_not_delivered(
    ferry: FerryBench, ctx: Context, ftp_server: Any, other: bytes
) -> None:
    rows = right_rows(ctx)
    rows[4] = row(ctx, 4, other)
    batch = judge_wrongly(ctx, rows)
    with pytest.raises(RecordChanged) as caught:
        steps.deliver(ctx, batch)
    assert caught.value.where.offset == 4
    assert VALUES[4] not in contents(ferry, ftp_server)
    assert other not in contents(ferry, ftp_server)
    assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 0}


@pytest.mark.parametrize("doubled", [True, False])
def test_a_row_twice_or_outside_the_batch_is_refused_at_once(ctx: Context, doubled: bool) -> None:
    wrong = row(ctx, 2 if doubled else 99, VALUES[2])
    with pytest.raises(PredictionsIncomplete, match="two rows" if doubled else "outside"):
        judge_wrongly(ctx, [*right_rows(ctx), wrong])
