"""What Kafka lost: gaps hold back the committed offset only; other logs wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.kafka import running_kafka
from fixtures.polling import poll
from sqlalchemy import select

from frameferry.config.person import person
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LogTruncated, OffsetsLost, PipelineBlocked, TopicChanged
from frameferry.kafka.cluster import Cluster
from frameferry.ledger.database.tables import batch_range
from frameferry.operations.status import status
from frameferry.operations.topic import accept_topic
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up
from frameferry.pipeline.world import world
from frameferry.stack import processes


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic(partitions=2)
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


@pytest.fixture
def ctx(ferry: FerryBench) -> Iterator[Context]:
    with ferry.context() as opened:
        yield opened


def values(number: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}picture {i}".encode() for i in range(number)]


def contents(ferry: FerryBench, ftp_server: Any) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


def gaps(ctx: Context) -> list[tuple[int, int, int, str]]:
    return [(gap.partition, gap.start, gap.end, gap.cause) for gap in ctx.ledger.gaps(ctx.pipeline)]


def expire(ctx: Context, kafka_server: Any, before: dict[int, int]) -> None:
    kafka_server.delete_records(ctx.settings.kafka.topic, before)
    poll(
        lambda: all(world.observe(ctx).view.watermarks[p].low >= low for p, low in before.items()),
        "retention",
    )


def accept_all(ctx: Context) -> None:
    for gap in ctx.ledger.gaps(ctx.pipeline):
        ctx.ledger.accept_gap(gap.id, who="a person", reason="seen")


def test_retention_that_overtakes_a_frozen_range_cuts_it(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, values(10, "a"), partition=0)
    kafka_server.produce(ctx.settings.kafka.topic, values(10, "b"), partition=1)
    planned = one_batch(ctx, OffsetRange(0, 0, 10), OffsetRange(1, 0, 10))
    expire(ctx, kafka_server, {0: 4})
    assert "split" == steps.infer(ctx, planned)
    assert [(0, 0, 4, "retention")] == gaps(ctx)
    run_until_caught_up(ctx)
    assert sorted(values(10, "a")[4:] + values(10, "b")) == contents(ferry, ftp_server)
    # The work behind the gap is done; only the committed offset waits for a person.
    assert {0: 0, 1: 10} == ctx.ledger.committed_offsets(ctx.pipeline)
    assert not steps.wait(ctx).now
    accept_all(ctx)
    assert {0: 10, 1: 10} == ctx.ledger.committed_offsets(ctx.pipeline)


def test_a_range_that_is_lost_whole_leaves_a_gap_and_no_batch(
    ctx: Context, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, values(6))
    planned = one_batch(ctx, OffsetRange(0, 0, 6))
    expire(ctx, kafka_server, {0: 6})
    run_batch(ctx, planned)
    assert () == steps.plan(ctx).batch_ids
    assert [(0, 0, 6, "retention")] == gaps(ctx)
    accept_all(ctx)
    assert 6 == ctx.ledger.committed_offsets(ctx.pipeline)[0]


def test_images_lost_between_judging_and_delivery_end_in_a_gap(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    sent = values(12)
    kafka_server.produce(ctx.settings.kafka.topic, sent)
    planned = one_batch(ctx, OffsetRange(0, 0, 12))
    steps.infer(ctx, planned)
    expire(ctx, kafka_server, {0: 5})
    steps.deliver(ctx, planned)
    steps.commit(ctx, planned)
    assert sorted(sent[5:]) == contents(ferry, ftp_server)
    assert [(0, 0, 5, "retention")] == gaps(ctx)
    assert 0 == ctx.ledger.committed_offsets(ctx.pipeline)[0]
    accept_all(ctx)
    assert 12 == ctx.ledger.committed_offsets(ctx.pipeline)[0]
    with ctx.ledger._transactions.read() as connection:
        [seen] = connection.execute(select(batch_range)).all()
    assert (5, 12, 7) == (seen.seen_from, seen.seen_to, seen.record_count)


def test_what_was_delivered_before_the_rest_was_lost_stays_delivered(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    """Retention overtakes in the middle of a delivery that is cut off there."""
    sent = values(12)
    kafka_server.produce(ctx.settings.kafka.topic, sent)
    planned = one_batch(ctx, OffsetRange(0, 0, 12))
    steps.infer(ctx, planned)

    @contextmanager
    def one_file_a_group() -> Iterator[None]:
        from frameferry.pipeline.deliver import grouping

        before = grouping.GROUP_RECORDS
        grouping.GROUP_RECORDS = 1
        try:
            yield
        finally:
            grouping.GROUP_RECORDS = before

    def cut(*args: Any, **options: Any) -> Any:
        reader = ctx.open_reader(*args, **options)

        class Cut:
            census = reader.census

            def __iter__(self) -> Iterator[Any]:
                for record in reader:
                    if record.offset == 4:
                        msg = "it expired meanwhile"
                        raise OffsetsLost(msg)
                    yield record

        return Cut()

    with one_file_a_group(), pytest.raises(OffsetsLost):
        steps.deliver(replace(ctx, open_reader=cut), planned)
    assert sorted(sent[:4]) == contents(ferry, ftp_server)
    expire(ctx, kafka_server, {0: 8})
    run_batch(ctx, planned)
    assert sorted(sent[:4] + sent[8:]) == contents(ferry, ftp_server)
    assert [(0, 4, 8, "retention")] == gaps(ctx)
    # The chain goes up to the gap, and behind it once that is accepted.
    assert 4 == ctx.ledger.committed_offsets(ctx.pipeline)[0]
    accept_all(ctx)
    assert 12 == ctx.ledger.committed_offsets(ctx.pipeline)[0]


def test_gaps_are_listed_and_accepted_by_a_person_with_a_reason(
    ferry: FerryBench, ctx: Context, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, values(6))
    planned = one_batch(ctx, OffsetRange(0, 0, 6))
    expire(ctx, kafka_server, {0: 2})
    run_batch(ctx, planned)
    [line] = ferry.json("gaps")
    assert (ctx.pipeline, 0, 0, 2, None) == (
        line["pipeline"],
        line["partition"],
        line["start"],
        line["end"],
        line["accepted_by"],
    )
    told = status(ctx)
    assert any(f"frameferry gaps accept {line['id']}" in advice for advice in told.advice)
    refused = ferry.run("gaps", "accept", str(line["id"]), "--reason", "  ")
    assert 1 == refused.returncode
    assert "a reason is needed" in refused.stderr
    unknown = ferry.run("gaps", "accept", "4711", "--reason", "seen")
    assert "knows no gap 4711" in unknown.stderr
    done = ferry.run("gaps", "accept", str(line["id"]), "--reason", "the camera was off")
    assert 0 == done.returncode, done.stderr
    assert ferry.json("gaps")[0]["accepted_by"] == person()
    assert not any("gaps accept" in line for line in status(ctx).advice)


def test_a_topic_created_anew_waits_for_a_person_and_goes_on_as_a_new_generation(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    topic = ctx.settings.kafka.topic
    old = values(8, "old ")
    kafka_server.produce(topic, old)
    done = one_batch(ctx, OffsetRange(0, 0, 4))
    run_batch(ctx, done)
    judged = one_batch(ctx, OffsetRange(0, 4, 6))
    steps.infer(ctx, judged)
    planned = one_batch(ctx, OffsetRange(0, 6, 8))
    kafka_server.delete_topic(topic)
    kafka_server.create_topic(topic, partitions=2)
    kafka_server.produce(topic, values(3, "new "))
    # Seen before judging, before delivering, and at planning; nothing is read or delivered.
    for step, batch_id in ((steps.infer, planned), (steps.deliver, judged)):
        with pytest.raises(TopicChanged, match="topic accept"):
            step(ctx, batch_id)
    assert not steps.wait(ctx).now
    with pytest.raises(PipelineBlocked, match="frameferry topic accept"):
        steps.plan(ctx)
    assert "blocked" in steps.wait(ctx).reason.lower() or "another topic" in steps.wait(ctx).reason
    assert sorted(old[:4]) == contents(ferry, ftp_server)
    accepted = ferry.run("topic", "accept", ctx.pipeline, "--reason", "it was too small")
    assert 0 == accepted.returncode, accepted.stderr
    run_until_caught_up(ctx)
    assert sorted(old[:4] + values(3, "new ")) == contents(ferry, ftp_server)
    names = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    assert 3 == sum("-g2" in name for name in names)
    assert {0: 3, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
    assert [(0, 4, 6, "another log"), (0, 6, 8, "another log")] == sorted(gaps(ctx))
    again = ferry.run("topic", "accept", ctx.pipeline, "--reason", "once more")
    assert 1 == again.returncode
    assert "nothing to accept" in again.stderr.lower()


def test_a_partition_added_later_begins_at_its_first_offset(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    topic = ctx.settings.kafka.topic
    kafka_server.produce(topic, values(3))
    run_until_caught_up(ctx)
    kafka_server.add_partitions(topic, 3)
    kafka_server.produce(topic, values(6, "late "), partition=2)
    kafka_server.delete_records(topic, {2: 2})
    poll(lambda: world.observe(ctx).view.watermarks[2].low == 2, "retention")
    run_until_caught_up(ctx)
    assert sorted(values(3) + values(6, "late ")[2:]) == contents(ferry, ftp_server)
    assert [(2, 0, 2, "retention")] == gaps(ctx)
    assert 0 == ctx.ledger.committed_offsets(ctx.pipeline)[2]


class Busy(Cluster):
    """Others go on while this process looks."""

    meanwhile: Callable[[], object]

    def view(self, *args: Any) -> Any:
        view = super().view(*args)
        Busy.meanwhile()
        return view


def test_what_others_plan_while_we_look_is_no_truncated_log(
    ferry: FerryBench, ctx: Context, kafka_server: Any
) -> None:
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, values(3))
    steps.plan(ctx)

    def others() -> None:
        kafka_server.produce(topic, values(4))
        steps.plan(ctx)

    Busy.meanwhile = others
    steps.wait(replace(ctx, open_cluster=Busy))
    assert ctx.ledger.blocked(ctx.pipeline) is None


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker whose disk may be lost."""
    with running_kafka(tmp_path_factory.mktemp("own-kafka")) as server:
        yield server


_OF_A_LOG = {".log", ".index", ".timeindex", ".snapshot"}


def cut_log(own_kafka: Any, topic: str, left: list[bytes]) -> None:
    """Lose a partition's log, as an unclean election or a dead disk does, and write another."""
    processes.stop(own_kafka.files.state.mark("kafka"))
    [folder] = Path(own_kafka.files.home).rglob(f"{topic}-0")
    for path in folder.iterdir():
        if path.suffix in _OF_A_LOG or path.name == "leader-epoch-checkpoint":
            path.unlink()
    own_kafka.start()
    own_kafka.produce(topic, left)


@pytest.mark.parametrize("regrown", [3, 9])
def test_a_truncated_log_is_noticed_and_read_from_where_it_differs(
    tmp_path: Path, own_kafka: Any, ftp_server: Any, regrown: int
) -> None:
    topic = own_kafka.create_topic(partitions=1)
    ferry = bench(tmp_path, topic=topic, kafka=own_kafka, ftp=ftp_server)
    first = values(6)
    own_kafka.produce(topic, first)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        # The first two records came through; those after them are others now.
        others = first[:2] + values(regrown - 2, "other ")
        cut_log(own_kafka, topic, others)
        with pytest.raises(LogTruncated, match="frameferry topic accept"):
            world.observe(ctx)
        assert not steps.wait(ctx).now
        with pytest.raises(PipelineBlocked, match="truncated"):
            steps.plan(ctx)
        assert {0: 2} == accept_topic(ctx, who="a person", reason="the disk died")
        run_until_caught_up(ctx)
        assert sorted(first + others[2:]) == contents(ferry, ftp_server)
        assert {0: regrown} == ctx.ledger.committed_offsets(ctx.pipeline)
        assert status(ctx).healthy


def test_a_new_leader_of_the_same_log_is_nothing_to_worry_about(
    tmp_path: Path, own_kafka: Any, ftp_server: Any
) -> None:
    topic = own_kafka.create_topic(partitions=1)
    ferry = bench(tmp_path, topic=topic, kafka=own_kafka, ftp=ftp_server)
    own_kafka.produce(topic, values(4))
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        before = world.state(ctx).progress[0].leader_epoch
        processes.stop(own_kafka.files.state.mark("kafka"))
        own_kafka.start()
        own_kafka.produce(topic, values(2, "more "))
        run_until_caught_up(ctx)
        assert before != world.state(ctx).progress[0].leader_epoch
    assert 6 == len(contents(ferry, ftp_server))
