"""Whole steps over logs with holes: markers, aborted records, ends that are not stable yet."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import KafkaUnavailable, LedgerConflict, TopicCompacted
from frameferry.kafka.reader import RangeReader
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up

NIFI_HEADERS = json.loads(
    (Path(__file__).parents[1] / "data/nifi_headers.json").read_text(encoding="utf-8")
)
"""Headers of ten records as NiFi writes them, values replaced: any order, any name, none."""


@pytest.fixture(scope="module")
def mixed(kafka_server: KafkaServer) -> str:
    """0 1 2 data, 3 marker, 4 5 aborted, 6 marker, 7 8 data, 9 marker, 10 data, 11 marker."""
    topic = kafka_server.create_topic()
    kafka_server.produce_transaction(topic, [b"0", b"1", b"2"])
    kafka_server.produce_transaction(topic, [b"4", b"5"], abort=True)
    kafka_server.produce_transaction(topic, [b"7", b"8"])
    kafka_server.produce_transaction(topic, [b"10"])
    return topic


@pytest.fixture
def ferry(tmp_path, mixed, kafka_server, ftp_server) -> FerryBench:
    ferry = bench(tmp_path, topic=mixed, kafka=kafka_server, ftp=ftp_server)
    # A ledger of its own for each test: so a name of its own for what Kafka remembers of it.
    ferry.content["pipeline"] = f"{mixed}-{secrets.token_hex(4)}"
    ferry.content["deliver"]["base"] = f"/{tmp_path.name}"
    return ferry


def contents(ferry: FerryBench, ftp_server) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


def carried_ranges(ctx: Context) -> list[tuple[str, int | None]]:
    """Each batch's range, and how many records it held; oldest first."""
    found = reversed(ctx.ledger.last_batches(ctx.pipeline))
    return [(str(one.ranges[0]), one.record_count) for one in found]


@pytest.mark.parametrize(
    ("start", "length", "batches"),
    [
        pytest.param(
            0,
            3,
            [("0:[0, 3)", 3), ("0:[3, 6)", 0), ("0:[6, 9)", 2), ("0:[9, 12)", 1)],
            id="first offset a marker, and a range without any record",
        ),
        pytest.param(
            0,
            5,
            [("0:[0, 5)", 3), ("0:[5, 10)", 2), ("0:[10, 12)", 1)],
            id="ends and begins within an aborted transaction, last offset a marker",
        ),
        pytest.param(
            1, 8, [("0:[1, 9)", 4), ("0:[9, 12)", 1)], id="a hole in the middle, then a marker"
        ),
        pytest.param(
            9,
            1,
            [("0:[9, 10)", 0), ("0:[10, 11)", 1), ("0:[11, 12)", 0)],
            id="the whole range a marker, also at the log's end",
        ),
        pytest.param(
            3, 4, [("0:[3, 7)", 0), ("0:[7, 11)", 3), ("0:[11, 12)", 0)], id="all at once"
        ),
    ],
)
def test_each_offset_is_committed_and_each_committed_record_delivered(
    ferry: FerryBench, ftp_server, start: int, length: int, batches: list[tuple[str, int]]
) -> None:
    ferry.content["kafka"]["start"] = {"0": start}
    ferry.content["batch"] = {"max_records": length}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        told = status(ctx)
        assert batches == carried_ranges(ctx)
    expected = [offset for offset in (0, 1, 2, 7, 8, 10) if offset >= start]
    assert contents(ferry, ftp_server) == sorted(b"%d" % offset for offset in expected)
    assert (told.partitions[0].committed, told.partitions[0].lag) == (12, 0)
    assert (told.counts.records, told.counts.delivered) == (len(expected), len(expected))
    assert told.healthy, told.advice


def topic_bench(tmp_path, kafka_server: KafkaServer, ftp_server, **topic: Any) -> FerryBench:
    name = kafka_server.create_topic(**topic)
    return bench(tmp_path, topic=name, kafka=kafka_server, ftp=ftp_server)


def test_what_lies_behind_an_open_transaction_waits_for_its_end(
    tmp_path, kafka_server, ftp_server
) -> None:
    ferry = topic_bench(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"before"])
    hanging = kafka_server.open_transaction(topic, [b"within"])
    kafka_server.produce(topic, [b"behind"])
    with ferry.context() as ctx:
        poll(lambda: 2 == status(ctx).partitions[0].held_back, "the stable end")
        run_until_caught_up(ctx)
        assert contents(ferry, ftp_server) == [b"before"]
        waiting = steps.wait(ctx)
        assert not waiting.now
        assert "an open transaction holds back 2 offsets" in waiting.reason
        hanging.commit_transaction(30)
        poll(lambda: steps.wait(ctx).now, "the transaction's end")
        run_until_caught_up(ctx)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 4}
    assert contents(ferry, ftp_server) == [b"before", b"behind", b"within"]


def test_a_transaction_that_is_aborted_late_leaves_nothing_behind(
    tmp_path, kafka_server, ftp_server
) -> None:
    ferry = topic_bench(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    hanging = kafka_server.open_transaction(topic, [b"0", b"1"])
    with ferry.context() as ctx:
        poll(lambda: 2 == status(ctx).partitions[0].held_back, "the stable end")
        assert steps.plan(ctx).batch_ids == ()
        hanging.abort_transaction(30)
        poll(lambda: steps.wait(ctx).now, "the transaction's end")
        run_until_caught_up(ctx)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 3}
        assert carried_ranges(ctx) == [("0:[0, 3)", 0)]
    assert contents(ferry, ftp_server) == []


def impatient(*args: Any, **options: Any) -> RangeReader:
    return RangeReader(*args, **options, stall_seconds=1)


def test_a_frozen_range_whose_end_is_not_stable_is_tried_again_and_then_read_whole(
    tmp_path, kafka_server, ftp_server
) -> None:
    """No plan cuts so; a leader that came back with an older end of the log would look so."""
    ferry = topic_bench(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"before"])
    hanging = kafka_server.open_transaction(topic, [b"within"])
    with ferry.context() as opened:
        ctx = Context(opened.settings, opened.ledger, opened.resolve, open_reader=impatient)
        poll(lambda: 1 == status(ctx).partitions[0].held_back, "the stable end")
        (first,) = steps.plan(ctx).batch_ids
        unstable = [OffsetRange(0, 1, 2)]
        second = ctx.ledger.add_batch(ctx.pipeline, ranges=unstable, sentence="", config_digest="")
        run_batch(ctx, first)
        with pytest.raises(KafkaUnavailable, match="open transaction holds back 1 offset"):
            steps.infer(ctx, second)
        assert ctx.ledger.batch(second).inferred_at is None
        hanging.commit_transaction(30)
        run_batch(ctx, second)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 2}
    assert contents(ferry, ftp_server) == [b"before", b"within"]


def test_records_as_nifi_writes_them_keep_their_names(tmp_path, kafka_server, ftp_server) -> None:
    """Seven pictures in a transaction, then one large one alone, then two: markers at 7, 9, 12."""
    ferry = topic_bench(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    values = [bytes([n]) * (600_000 if n == 7 else 141_000 + n) for n in range(10)]
    headers = [
        None if one is None else [(name, value.encode()) for name, value in one]
        for one in NIFI_HEADERS
    ]
    for first, end in ((0, 7), (7, 8), (8, 10)):
        kafka_server.produce_transaction(topic, values[first:end], headers=headers[first:end])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 13}
        names = [line.name for line in ctx.ledger.records(ctx.pipeline)]
    assert names == [
        *("0-1224.jpg", "0-0.jpg", "name with spaces (1).jpg", "a+b%20=ü&c.jpg"),
        *("도장불량_한글이름.jpg", "중첩 폴더 이미지.jpg", "0-103.jpg", None),
        *("0-1224.jpg", "0-111.jpg"),
    ]
    files = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    by_name = {Path(path).name: value for path, value in files.items()}
    assert by_name == dict(zip(DELIVERED, values, strict=True))


DELIVERED = [
    "0-1224_0-00000000000000000000.jpg",
    "0-0_0-00000000000000000001.jpg",
    "name with spaces (1)_0-00000000000000000002.jpg",
    "a+b%2520=ü&c_0-00000000000000000003.jpg",
    "도장불량_한글이름_0-00000000000000000004.jpg",
    "중첩 폴더 이미지_0-00000000000000000005.jpg",
    "0-103_0-00000000000000000006.jpg",
    "record_0-00000000000000000008",
    "0-1224_0-00000000000000000010.jpg",
    "0-111_0-00000000000000000011.jpg",
]
"""A percent sign is encoded, since it is what encodes; all else is as it was."""


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_that_is_compacted_is_planned_no_further(
    tmp_path, kafka_server, ftp_server, policy: str
) -> None:
    ferry = topic_bench(tmp_path, kafka_server, ftp_server, config={"cleanup.policy": policy})
    with ferry.context() as ctx:
        waiting = steps.wait(ctx)
        assert not waiting.now
        assert f"cleanup.policy={policy}: pictures vanish" in waiting.reason
        with pytest.raises(TopicCompacted, match=f"cleanup.policy={policy}: pictures vanish"):
            steps.plan(ctx)
        told = status(ctx)
    assert not told.healthy
    assert f"cleanup.policy={policy}" in told.advice[0]


def test_two_pipelines_share_a_topic_by_its_partitions(tmp_path, kafka_server, ftp_server) -> None:
    topic = kafka_server.create_topic(partitions=3)
    for partition in range(3):
        kafka_server.produce(
            topic, [b"%d-%d" % (partition, n) for n in range(5)], partition=partition
        )
    first, second = (
        bench(tmp_path / name, topic=topic, kafka=kafka_server, ftp=ftp_server) for name in "ab"
    )
    second.ledger_url = first.url
    first.content["kafka"]["partitions"] = [0, 2]
    second.content["kafka"]["partitions"] = [1, 2]
    second.content["pipeline"] = f"{first.name}-b"
    second.content["deliver"]["base"] = f"/{topic}-b"
    with first.context() as ctx:
        run_until_caught_up(ctx)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {0: 5, 2: 5}
    overlap = f"pipeline {second.name}, partition 2: the partition belongs to pipeline {first.name}"
    with second.context() as ctx:
        with pytest.raises(LedgerConflict, match=overlap):
            steps.plan(ctx)
        assert f"Partition 2 belongs to pipeline {first.name}. Give" in status(ctx).advice[0]
    second.content["kafka"]["partitions"] = "all"
    with second.context() as ctx, pytest.raises(LedgerConflict, match="belongs to pipeline"):
        steps.plan(ctx)
    second.content["kafka"]["partitions"] = [1]
    with second.context() as ctx:
        run_until_caught_up(ctx)
        assert ctx.ledger.committed_offsets(ctx.pipeline) == {1: 5}
        assert status(ctx).healthy
    sent = {p: [b"%d-%d" % (p, n) for n in range(5)] for p in range(3)}
    assert contents(first, ftp_server) == sorted(sent[0] + sent[2])
    assert contents(second, ftp_server) == sent[1]
