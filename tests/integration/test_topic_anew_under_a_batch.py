"""A real topic is deleted and made anew under a batch, with more records than it had before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.boundary import Boundary, BoundaryCluster, BoundaryReader, when
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.kafka import KafkaServer

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, LogExchanged, TopicChanged
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.reader import RangeReader
from frameferry.operations.confirm import confirm
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.operations.topic import accept_topic
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up
from frameferry.pipeline.world import world

OLD, NEW = 6, 15
Step = Callable[[Context, int], object]
Moment = tuple[Step, str, int]
MOMENTS: list[Moment] = [
    *((steps.infer, *at) for at in (("view", 1), ("read", 1), ("record", 3), ("view", 2))),
    *((steps.deliver, *at) for at in (("view", 1), ("read", 1), ("record", 3), ("view", 2))),
]
IDS = [f"{step.__name__}-{name}-{nth}" for step, name, nth in MOMENTS]


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


@pytest.fixture
def ctx(ferry: FerryBench, kafka_server: KafkaServer) -> Iterator[Context]:
    kafka_server.produce(topic_of(ferry), pictures("old", OLD))
    with ferry.context() as opened:
        yield opened


def topic_of(ferry: FerryBench) -> str:
    return str(ferry.content["kafka"]["topic"])


def pictures(word: str, count: int) -> list[bytes]:
    return [f"{word} picture {at:02d}".encode() for at in range(count)]


def make_anew(kafka: KafkaServer, topic: str) -> None:
    kafka.delete_topic(topic)
    kafka.create_topic(topic)
    kafka.produce(topic, pictures("new", NEW))


def disturbed(ctx: Context, name: str, nth: int, do: Callable[[], object]) -> Context:
    """Let something happen when a process comes to a question to Kafka, or a record, of a name."""
    boundary = Boundary(when(f"kafka.{name}", lambda _: do(), nth=nth))
    return replace(
        ctx,
        open_cluster=lambda *a, **o: BoundaryCluster(Cluster(*a, **o), boundary),
        open_reader=lambda *a, **o: BoundaryReader(RangeReader(*a, **o), boundary),
    )


def files(ferry: FerryBench, ftp: Any) -> dict[str, bytes]:
    return delivered_files(ftp, ferry.content["deliver"]["base"])


def is_of_the_old(name: str) -> bool:
    return "-g2" not in name


@pytest.mark.parametrize("moment", MOMENTS, ids=IDS)
def test_no_picture_of_the_new_topic_passes_for_one_of_the_old(
    ferry: FerryBench,
    ctx: Context,
    kafka_server: KafkaServer,
    ftp_server: Any,
    moment: Moment,
) -> None:
    step, *place = moment
    [batch] = steps.plan(ctx).batch_ids
    if step is steps.deliver:
        steps.infer(ctx, batch)
    there = disturbed(ctx, *place, lambda: make_anew(kafka_server, topic_of(ferry)))
    with pytest.raises(TopicChanged, match=f"topic accept {ctx.pipeline}"):
        step(there, batch)
    told_and_accepted(ctx)
    after = files(ferry, ftp_server)
    old = {name: value for name, value in after.items() if is_of_the_old(name)}
    new = sorted(value for name, value in after.items() if not is_of_the_old(name))
    assert pictures("new", NEW) == new
    assert set(pictures("old", OLD)) >= set(old.values())
    lost = {offset for gap in ctx.ledger.gaps(ctx.pipeline) for offset in range(gap.start, gap.end)}
    answered = {row.offset for row in ctx.ledger.records(ctx.pipeline) if row.delivered_at}
    assert set(range(OLD)) <= lost | answered
    assert OLD == len(old) or lost


@pytest.mark.parametrize("moment", MOMENTS, ids=IDS)
def test_a_replay_sends_nothing_of_the_new_topic_in_the_place_of_the_old(
    ferry: FerryBench,
    ctx: Context,
    kafka_server: KafkaServer,
    ftp_server: Any,
    moment: Moment,
) -> None:
    step, *place = moment
    run_until_caught_up(ctx)
    before = files(ferry, ftp_server)
    mode = "redeliver" if step is steps.deliver else "reinfer"
    span = selected(partition=0, start=0, end=OLD)
    [batch] = plan_replay(ctx, span, mode=mode, dry_run=False, who="anna").batch_ids
    there = disturbed(ctx, *place, lambda: make_anew(kafka_server, topic_of(ferry)))
    with pytest.raises(TopicChanged):
        step(there, batch)
    told_and_accepted(ctx)
    after = files(ferry, ftp_server)
    assert before == {name: value for name, value in after.items() if is_of_the_old(name)}
    assert OLD + NEW == len(after)


@pytest.mark.parametrize("step", [steps.infer, steps.deliver])
def test_a_long_read_that_goes_on_in_the_new_topic_is_thrown_away(
    ferry: FerryBench, ctx: Context, kafka_server: KafkaServer, ftp_server: Any, step: Step
) -> None:
    """More than the client fetches ahead, so that the read really goes on in the other topic."""
    topic, size = topic_of(ferry), 500_000
    kafka_server.produce(topic, [bytes([at]) * size for at in range(50)])
    world.observe(ctx)
    batch = ctx.ledger.add_batch(
        ctx.pipeline, ranges=[OffsetRange(0, 0, OLD + 50)], sentence="long", config_digest="c" * 64
    )
    if step is steps.deliver:
        steps.infer(ctx, batch)

    def anew() -> None:
        kafka_server.delete_topic(topic)
        kafka_server.create_topic(topic)
        kafka_server.produce(topic, [bytes([100 + at]) * size for at in range(70)])

    with pytest.raises(TopicChanged):
        step(disturbed(ctx, "record", 8, anew), batch)
    assert step is steps.deliver or ctx.ledger.batch(batch).inferred_at is None
    old = {*pictures("old", OLD), *(bytes([at]) * size for at in range(50))}
    assert old >= set(files(ferry, ftp_server).values())


def told_and_accepted(ctx: Context) -> None:
    """See that a person is told, and by which command; carry the new topic from its start."""
    told = status(ctx)
    assert any("topic accept" in line for line in told.advice), told.advice
    assert not any("the mirror is gone" in line for line in told.advice)
    with pytest.raises(TopicChanged):
        confirm(ctx, who="anna", reason="it is said that the mirror is gone")
    with pytest.raises(TopicChanged):
        steps.publish(ctx)
    with pytest.raises(TopicChanged):
        steps.plan(ctx)
    assert {0: 0} == accept_topic(ctx, who="anna", reason="the broker was set up anew")
    run_until_caught_up(ctx, stalled_seconds=30)
    assert {0: NEW} == ctx.ledger.committed_offsets(ctx.pipeline)


def test_a_replay_of_a_topic_that_is_gone_is_refused_before_it_is_planned(
    ferry: FerryBench, ctx: Context, kafka_server: KafkaServer
) -> None:
    run_until_caught_up(ctx)
    make_anew(kafka_server, topic_of(ferry))
    span = selected(partition=0, start=0, end=OLD)
    with pytest.raises(TopicChanged):
        plan_replay(ctx, span, mode="redeliver", dry_run=False, who="anna")
    with pytest.raises(ConfigError, match="--reason"):
        accept_topic(ctx, who="anna", reason="")


def test_what_is_read_while_a_person_accepts_the_new_topic_is_thrown_away(
    ferry: FerryBench, ctx: Context, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    [batch] = steps.plan(ctx).batch_ids

    def accepted_at_once() -> None:
        make_anew(kafka_server, topic_of(ferry))
        accept_topic(ctx, who="anna", reason="the broker was set up anew")

    with pytest.raises(LogExchanged, match="generation 2 began"):
        steps.infer(disturbed(ctx, "read", 1, accepted_at_once), batch)
    assert ctx.ledger.batch(batch).inferred_at is None
    assert "split" == steps.infer(ctx, batch)
    assert [(0, OLD, "another log")] == [
        (gap.start, gap.end, gap.cause) for gap in ctx.ledger.gaps(ctx.pipeline)
    ]
    run_until_caught_up(ctx)
    assert pictures("new", NEW) == sorted(files(ferry, ftp_server).values())


class AnewWhileItIsAsked(Cluster):
    """A cluster whose topic is made anew between the questions that make one look."""

    do: Callable[[], object] | None = None

    def _watermarks(self, *arguments: Any) -> Any:
        do, AnewWhileItIsAsked.do = AnewWhileItIsAsked.do, None
        if do is not None:
            do()
        return super()._watermarks(*arguments)


def test_one_look_is_at_one_topic(
    ferry: FerryBench, ctx: Context, kafka_server: KafkaServer
) -> None:
    """Else the old id stood beside the new one's end, and a batch was planned up to there."""
    AnewWhileItIsAsked.do = lambda: make_anew(kafka_server, topic_of(ferry))
    with replace(ctx, open_cluster=AnewWhileItIsAsked).cluster() as cluster:
        view = cluster.view(topic_of(ferry), None)
    with ctx.cluster() as cluster:
        assert cluster.view(topic_of(ferry), None).topic_id == view.topic_id
    assert NEW == view.watermarks[0].end
