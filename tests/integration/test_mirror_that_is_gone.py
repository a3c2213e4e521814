"""A mirror that was dropped: nobody can tell then whether the ledger is the newest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from confluent_kafka import TopicPartition
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.kafka import FORGETFUL, KafkaServer, running_kafka
from fixtures.polling import poll

from frameferry.errors import (
    ConfigError,
    Fenced,
    KafkaUnavailable,
    LedgerOutdated,
    TopicChanged,
    WitnessMissing,
)
from frameferry.operations.confirm import confirm
from frameferry.operations.recover import Decision, recover
from frameferry.operations.status import status
from frameferry.operations.topic import accept_topic
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_once, run_until_caught_up
from frameferry.pipeline.world import witness
from frameferry.pipeline.world.renewing import Rounds, look_after

NOTHING = Decision(taken_to={}, send_beyond=False)


def pipeline(folder: Path, kafka: KafkaServer, ftp, name: str = "") -> FerryBench:
    topic = kafka.create_topic(name, partitions=2)
    ferry = bench(folder, topic=topic, kafka=kafka, ftp=ftp)
    ferry.content["batch"] = {"max_records": 10, "linger_seconds": 0}
    return ferry


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    return pipeline(tmp_path, kafka_server, ftp_server)


def produce(ferry: FerryBench, kafka: KafkaServer, count: int, partition: int = 0) -> None:
    topic = ferry.content["kafka"]["topic"]
    values = [f"{topic} picture {partition}-{at}".encode() for at in range(count)]
    kafka.produce(topic, values, partition=partition)


def group(ferry: FerryBench) -> str:
    return f"frameferry.{ferry.name}"


def mirrored(ferry: FerryBench, kafka: KafkaServer) -> list[TopicPartition]:
    return kafka.group_offsets(group(ferry), ferry.content["kafka"]["topic"], 2)


def carry_with_an_older_copy(ferry: FerryBench, kafka: KafkaServer) -> FerryBench:
    """Deliver, copy the ledger as it is then, deliver more; return the pipeline on the copy."""
    produce(ferry, kafka, 5)
    produce(ferry, kafka, 2, partition=1)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    copy = ferry.folder / "older.db"
    shutil.copy(ferry.url.removeprefix("sqlite:///"), copy)
    produce(ferry, kafka, 5)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        assert [10, 2] == [line.committed for line in status(ctx).partitions]
    return replace(ferry, ledger_url=f"sqlite:///{copy}")


def delete(ferry: FerryBench, kafka: KafkaServer) -> None:
    kafka.delete_group(group(ferry))


def delete_offsets_of_one_partition(ferry: FerryBench, kafka: KafkaServer) -> None:
    _, left = mirrored(ferry, kafka)
    kafka.delete_group(group(ferry))
    kafka.set_group(group(ferry), [left])


def reset(ferry: FerryBench, kafka: KafkaServer) -> None:
    """Let a tool that knows nothing of us set the offsets."""
    topic = ferry.content["kafka"]["topic"]
    kafka.set_group(group(ferry), [TopicPartition(topic, 0, 0), TopicPartition(topic, 1, 0)])


LOSSES = [delete, delete_offsets_of_one_partition, reset]


def refuses_all(ferry: FerryBench, kafka: KafkaServer) -> None:
    """See that nothing is planned or mirrored on this ledger, and that each voice says why."""
    before = mirrored(ferry, kafka)
    with ferry.context() as ctx:
        with pytest.raises(WitnessMissing, match=f"ledger confirm {ferry.name}.*ledger recover"):
            steps.plan(ctx)
        with pytest.raises(WitnessMissing):
            steps.publish(ctx)
        said = steps.wait(ctx)
        assert not said.now
        assert said.retry_in_seconds is None
        assert "the mirror is gone" in said.reason
        told = status(ctx)
        assert not told.healthy
        assert any(line.startswith("Nothing runs: the mirror is gone") for line in told.advice)
    done = ferry.run("run", ferry.name)
    assert 0 != done.returncode
    assert f"ledger confirm {ferry.name}" in " ".join(done.stderr.split())
    assert [(one.offset, one.metadata) for one in before] == [
        (one.offset, one.metadata) for one in mirrored(ferry, kafka)
    ]


@pytest.mark.parametrize("lose", LOSSES)
def test_nothing_runs_on_any_copy_until_a_person_says_which_is_the_newest(
    ferry, kafka_server, ftp_server, lose: Callable[..., None]
):
    older = carry_with_an_older_copy(ferry, kafka_server)
    lose(ferry, kafka_server)
    refuses_all(older, kafka_server)
    produce(ferry, kafka_server, 1)
    refuses_all(ferry, kafka_server)
    done = ferry.run("ledger", "confirm", ferry.name, "--reason", "nobody restored anything")
    assert 0 == done.returncode, done.stderr
    assert "mirrored anew at 0:10, 1:2" in done.stdout
    with ferry.context() as ctx:
        assert 1 == run_until_caught_up(ctx).batches
        assert status(ctx).healthy
    with older.context() as ctx, pytest.raises(LedgerOutdated):
        steps.plan(ctx)
    assert 13 == len(delivered_files(ftp_server, ferry.content["deliver"]["base"]))


def test_an_older_copy_that_is_recovered_sends_nothing_again(ferry, kafka_server, ftp_server):
    older = carry_with_an_older_copy(ferry, kafka_server)
    with ferry.context() as ctx:
        produce(ferry, kafka_server, 3)
        [lost] = steps.plan(ctx).batch_ids
        zombie = ctx.ledger.claim(lost, owner="zombie", lease_seconds=60).token
        part = f".half.{zombie.epoch[:8]}-{lost}-1-0.part"
    base = ftp_server.root / ferry.content["deliver"]["base"].strip("/")
    before = {path: path.stat().st_ino for path in base.rglob("record*")}
    (base / part).write_bytes(b"of the life that was lost")
    delete(ferry, kafka_server)
    with older.context() as ctx:
        epoch = ctx.ledger.epoch()
        assert 5 == sum(one.seen for one in look_again(ctx).partitions)
        assert epoch != ctx.ledger.epoch()
        with pytest.raises(Fenced):
            ctx.ledger.renew(zombie, 60)
        assert not (base / part).exists()
        assert witness.objection(ctx) is None
        run_until_caught_up(ctx)
        assert 15 == ctx.ledger.counts(ctx.pipeline).delivered
    after = {path: path.stat().st_ino for path in base.rglob("record*")}
    assert 15 == len(after)
    assert before == {path: after[path] for path in before}


def look_again(ctx: Context):
    return recover(ctx, NOTHING, verify=False, dry_run=False, who="anna")


def test_a_dry_recovery_brings_no_mirror_back(ferry, kafka_server):
    older = carry_with_an_older_copy(ferry, kafka_server)
    delete(ferry, kafka_server)
    with older.context() as ctx:
        recover(ctx, NOTHING, verify=False, dry_run=True, who="anna")
        with pytest.raises(WitnessMissing):
            steps.plan(ctx)


def test_a_ledger_is_confirmed_only_where_nobody_can_tell(ferry, kafka_server):
    older = carry_with_an_older_copy(ferry, kafka_server)
    with ferry.context() as ctx, pytest.raises(ConfigError, match="in its place"):
        confirm(ctx, who="anna", reason="to be sure")
    with older.context() as ctx, pytest.raises(LedgerOutdated, match="ledger recover"):
        confirm(ctx, who="anna", reason="to be sure")
    delete(ferry, kafka_server)
    with ferry.context() as ctx, pytest.raises(ConfigError, match="--reason"):
        confirm(ctx, who="anna", reason=" ")


def test_what_is_planned_first_has_a_witness_before(ferry, kafka_server):
    """A run that dies between its first commit and its publish is no reason to stop."""
    produce(ferry, kafka_server, 5)
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        assert [0, 0] == [one.offset for one in mirrored(ferry, kafka_server)]
        run_batch(ctx, batch)
        assert witness.objection(ctx) is None
        kafka_server.add_partitions(ctx.settings.kafka.topic, 3)
        produce(ferry, kafka_server, 2, partition=2)
        [batch] = steps.plan(ctx).batch_ids
        run_batch(ctx, batch)
        assert witness.objection(ctx) is None
        assert 0 == run_once(ctx)


def test_without_a_mirror_nothing_is_planned(ferry, kafka_server):
    produce(ferry, kafka_server, 5)

    class Unheard:
        """A cluster whose group cannot be written."""

        def __init__(self, cluster) -> None:
            self._cluster = cluster

        def __getattr__(self, name: str):
            return getattr(self._cluster, name)

        def mirror(self, *_: object, **__: object) -> None:
            msg = "no coordinator"
            raise KafkaUnavailable(msg)

    with ferry.context() as ctx:
        unheard = replace(ctx, open_cluster=lambda *a, **o: Unheard(ctx.open_cluster(*a, **o)))
        with pytest.raises(KafkaUnavailable):
            steps.plan(unheard)
        assert () == ctx.ledger.pipeline_state(ctx.pipeline).open_batches
        assert 1 == run_once(ctx)


def test_a_topic_made_anew_takes_its_mirror_along_and_the_next_one_has_its_own(ferry, kafka_server):
    older = carry_with_an_older_copy(ferry, kafka_server)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.delete_topic(topic)
    kafka_server.create_topic(topic, partitions=2)
    assert [] == mirrored(ferry, kafka_server)
    produce(ferry, kafka_server, 12)
    for copy in (ferry, older):
        with copy.context() as ctx, pytest.raises(TopicChanged):
            steps.plan(ctx)
    with ferry.context() as ctx:
        accept_topic(ctx, who="anna", reason="the broker was set up anew")
        run_until_caught_up(ctx)
    with older.context() as ctx:
        accept_topic(ctx, who="bert", reason="the broker was set up anew")
        with pytest.raises(LedgerOutdated, match="0: 12 was committed, the ledger has 0"):
            steps.plan(ctx)


def test_a_mirror_that_grows_old_is_renewed_and_a_young_one_left_alone(ferry, kafka_server):
    produce(ferry, kafka_server, 5)
    now, asked = [0.0], []

    def opened(*arguments: object, **options: object):
        asked.append(1)
        return ctx.open_cluster(*arguments, **options)

    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        young = mirrored(ferry, kafka_server)
        watched = replace(ctx, open_cluster=opened)
        rounds = Rounds(clock=lambda: now[0])
        assert look_after(watched, rounds) is None
        assert [one.metadata for one in young] == words(ferry, kafka_server)
        set_back(ferry, kafka_server, timedelta(hours=2))
        old, asked[:] = words(ferry, kafka_server), []
        now[0] += 3000
        assert look_after(watched, rounds) is None
        assert [] == asked
        now[0] += 600
        assert look_after(watched, rounds) is None
        assert old != words(ferry, kafka_server)
        assert [5, 0] == [one.offset for one in mirrored(ferry, kafka_server)]


def words(ferry: FerryBench, kafka: KafkaServer) -> list[str]:
    return [one.metadata for one in mirrored(ferry, kafka)]


def set_back(ferry: FerryBench, kafka: KafkaServer, by: timedelta) -> None:
    """Let the mirror say that it was written so long ago."""
    places = []
    for place in mirrored(ferry, kafka):
        said = json.loads(place.metadata)
        said["at"] = (datetime.fromisoformat(said["at"]) - by).isoformat()
        older = TopicPartition(place.topic, place.partition, place.offset, json.dumps(said))
        places.append(older)
    kafka.set_group(group(ferry), places)


def test_a_pipeline_that_waits_notices_that_its_mirror_is_gone_and_says_so_once(
    ferry, kafka_server
):
    produce(ferry, kafka_server, 5)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        delete(ferry, kafka_server)
        rounds = Rounds()
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                assert isinstance(look_after(ctx, rounds), WitnessMissing)
        assert ["witness.objects"] == [line["event"] for line in logs]
        assert [] == mirrored(ferry, kafka_server)
        confirm(ctx, who="anna", reason="a tool deleted the group")
        assert look_after(ctx, rounds) is None


def test_a_renewal_that_fails_keeps_nobody_from_waiting(ferry, kafka_server):
    produce(ferry, kafka_server, 5)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        ferry.connections["plant_kafka"]["extra"]["bootstrap.servers"] = "127.0.0.1:1"
        with structlog.testing.capture_logs() as logs:
            assert look_after(replace(ctx, kafka_timeout_seconds=1), Rounds()) is None
        assert ["witness.not_renewed"] == [line["event"] for line in logs]


def test_kafka_forgets_a_pipeline_that_stands_still_and_not_one_that_waits(
    tmp_path, tmp_path_factory, ftp_server
):
    with running_kafka(tmp_path_factory.mktemp("forgetful"), FORGETFUL) as kafka:
        still, waiting = (
            pipeline(tmp_path / name, kafka, ftp_server, name)
            for name in ("stands.still", "is.waiting")
        )
        # The one that waits has committed before the other, whose mirror tells when time is up.
        carry_with_an_older_copy(waiting, kafka)
        older = carry_with_an_older_copy(still, kafka)
        with waiting.context() as ctx, ctx.cluster() as cluster:
            assert 60 == cluster.offsets_kept_seconds()

            def is_forgotten() -> bool:
                assert not steps.wait(ctx).now
                return not mirrored(still, kafka)

            poll(is_forgotten, "the mirror's end", seconds=150, every=1)
            assert [10, 2] == [one.offset for one in mirrored(waiting, kafka)]
            assert witness.objection(ctx) is None
        refuses_all(older, kafka)
        refuses_all(still, kafka)
        with still.context() as ctx:
            confirm(ctx, who="anna", reason="the plant stood still, nothing was restored")
            assert () == steps.plan(ctx).batch_ids
