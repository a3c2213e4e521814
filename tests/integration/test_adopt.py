"""A pipeline begins exactly where another system stopped, by the command line, on real servers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.polling import poll

from frameferry.config.person import person
from frameferry.errors import ConfigError, LedgerConflict, LedgerOutdated, NotAdopted
from frameferry.operations.adopting.adopt import Adoption, Decision, adopt
from frameferry.operations.adopting.sources import source_of
from frameferry.operations.recover import Decision as Recovering
from frameferry.operations.recover import recover
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_until_caught_up

WRITTEN = Path(__file__).parents[1] / "data" / "spark_checkpoints"


class Old:
    """A topic of 20 and 8 pictures, and a pipeline that waits to be adopted."""

    def __init__(self, folder: Path, kafka, ftp) -> None:
        self.kafka, self.ftp = kafka, ftp
        self.topic = kafka.create_topic(partitions=2)
        self.ferry: FerryBench = bench(folder, topic=self.topic, kafka=kafka, ftp=ftp)
        self.ferry.content["kafka"]["start"] = "adopt"
        self.ferry.content["batch"] = {"max_records": 4, "linger_seconds": 0}
        for partition, count in ((0, 20), (1, 8)):
            values = [f"{self.topic} {partition} {at}".encode() for at in range(count)]
            # They were there before the Spark checkpoints in tests/data were written.
            kafka.produce(self.topic, values, partition=partition, timestamp_ms=1_796_000_000_000)

    def offsets(self, found: Mapping[str, int], topic: str = "") -> Path:
        path = self.ferry.folder / "offsets.json"
        path.write_text(json.dumps({topic or self.topic: found}))
        return path

    def checkpoint(self, name: str) -> Path:
        """Take one that Spark wrote for another topic's name; its hidden CRCs no longer fit."""
        folder = Path(shutil.copytree(WRITTEN / name, self.ferry.folder / name))
        for path in folder.rglob("*"):
            if path.name.endswith(".crc"):
                path.unlink()
            elif path.is_file():
                path.write_bytes(path.read_bytes().replace(b"press-a.images", self.topic.encode()))
        return folder

    def adopt(self, *, dry_run: bool = False, **said: Any) -> Adoption:
        """Do what the command does; a test of the command's own is below."""
        names = ("spark_checkpoint", "group", "connect_offsets", "offsets")
        find = source_of(**{name: said.pop(name, None) for name in names})
        with self.ferry.context() as ctx:
            return adopt(ctx, find, Decision(**said), dry_run=dry_run, who="ada")

    def refused(self, **said: Any) -> str:
        """See that it is refused, and that ledger and mirror are as they were."""
        before = self.known(), self.mirror()
        with pytest.raises((ConfigError, LedgerConflict)) as raised:
            self.adopt(**said)
        assert before == (self.known(), self.mirror())
        return str(raised.value)

    def known(self) -> dict[int, tuple[int, int]] | None:
        with self.ferry.context() as ctx:
            state = ctx.ledger.pipeline_state(self.ferry.name)
            progress = state.progress if state else {}
            return {at: (one.committed, one.planned) for at, one in progress.items()}

    def carry(self) -> list[str]:
        """Carry all there is; return what was delivered, as partition and number."""
        with self.ferry.context() as ctx:
            assert run_until_caught_up(ctx).is_caught_up
            assert status(ctx).advice == ()
        files = delivered_files(self.ftp, self.ferry.content["deliver"]["base"])
        return sorted(value.decode().partition(" ")[2] for value in files.values())

    def mirror(self) -> list[int]:
        """Ask as patiently as the product does: a broker may be only just coming up."""
        with self.ferry.context() as ctx, ctx.cluster() as cluster:
            found = cluster.mirrored(ctx.group, self.topic, (0, 1))
        return [offset for _, (offset, _) in sorted(found.items())]


def pictures(*spans: tuple[int, int, int]) -> list[str]:
    return sorted(f"{p} {at}" for p, start, end in spans for at in range(start, end))


@pytest.fixture
def old(tmp_path, kafka_server, ftp_server):
    return Old(tmp_path, kafka_server, ftp_server)


def test_a_pipeline_that_waits_to_be_adopted_begins_at_nothing_by_accident(old):
    with old.ferry.context() as ctx:
        said = steps.wait(ctx)
        assert (False, None) == (said.now, said.retry_in_seconds)
        assert f"frameferry adopt {old.ferry.name} --spark-checkpoint" in said.reason
        with pytest.raises(NotAdopted, match=f"pipeline {old.ferry.name}: .* waits to be adopted"):
            steps.plan(ctx)
        assert [f"The pipeline waits to be adopted. {said.reason.split('). ')[1]}"] == list(
            status(ctx).advice
        )
        assert ctx.ledger.pipeline_state(old.ferry.name) is None
    assert [] == old.mirror()


def test_a_stopped_stream_is_gone_on_with_by_the_command_and_every_picture_comes_once(old):
    place = str(old.checkpoint("stopped"))
    command = ("adopt", old.ferry.name, "--spark-checkpoint", place)
    dry = old.ferry.run(*command, "--dry-run")
    assert (0, {}) == (dry.returncode, old.known()), dry.stderr
    told = " ".join(dry.stdout.split())
    assert "dry run: would begin where another system stopped" in told
    assert f"read from: Spark checkpoint {place}, batch 2 committed" in told
    assert "it holds no topic id" in told
    assert "it planned last at 2026-12-01 06:4" in told
    wrong = old.ferry.run(*command, "--dry-run", "--carry-planned")
    assert 1 == wrong.returncode
    assert "REFUSED: it had planned nothing that is not committed" in wrong.stdout
    done = old.ferry.run(*command)
    assert 0 == done.returncode, done.stderr
    assert f"next: frameferry run {old.ferry.name}" in done.stdout
    assert {0: (4, 4), 1: (3, 3)} == old.known()
    assert [4, 3] == old.mirror()
    assert pictures((0, 4, 20), (1, 3, 8)) == old.carry()
    twice = old.ferry.run(*command)
    assert 1 == twice.returncode
    assert "adopted on" in twice.stderr
    assert f"by {person()}" in " ".join(twice.stderr.split())


def test_what_was_planned_and_not_committed_comes_first_in_bounded_batches(old):
    told = old.adopt(spark_checkpoint=str(old.checkpoint("died")), carries=True)
    assert [10, 4] == [one.carried_to for one in told.partitions]
    assert {0: (4, 10), 1: (3, 4)} == old.known()
    with old.ferry.context() as ctx:
        leaves = ctx.ledger.pipeline_state(old.ferry.name).open_batches
        assert told.batches == len(leaves) == 2
        assert all(sum(one.length for one in leaf.ranges) <= 4 for leaf in leaves)
        words = f"part 1 of 2 of what was planned elsewhere and not committed ({told.source})"
        assert words in leaves[0].sentence
        assert tuple(leaf.id for leaf in leaves) == steps.plan(ctx).batch_ids
    assert pictures((0, 4, 20), (1, 3, 8)) == old.carry()
    assert [20, 8] == old.mirror()


def test_a_stream_that_died_at_first_is_gone_on_with_where_it_began(old):
    old.adopt(spark_checkpoint=str(old.checkpoint("died_at_first")))
    assert {0: (0, 0), 1: (0, 0)} == old.known()


def test_one_that_was_registered_at_another_start_is_moved_while_nothing_was_planned(old):
    old.ferry.content["kafka"]["start"] = "earliest"
    with old.ferry.context() as ctx:
        assert steps.wait(ctx).now
    assert {0: (0, 0), 1: (0, 0)} == old.known()
    old.adopt(offsets=old.offsets({"0": 18, "1": 8}))
    assert pictures((0, 18, 20)) == old.carry()
    assert "has planned something already" in old.refused(offsets=old.offsets({"0": 1}))


def test_moving_back_what_is_mirrored_already_is_no_older_ledger(old):
    old.ferry.content["kafka"]["start"] = {"0": 20, "1": 8}
    with old.ferry.context() as ctx:
        steps.plan(ctx)
    assert [20, 8] == old.mirror()
    path = old.offsets({"0": 18, "1": 6})
    old.adopt(offsets=path)
    assert [18, 6] == old.mirror()
    assert "adopted already" in old.refused(offsets=path)
    old.adopt(offsets=old.offsets({"0": 17, "1": 8}), again=True)
    assert pictures((0, 17, 20)) == old.carry()


def test_kafka_connects_answer_is_adopted(old):
    rows = [
        {
            "partition": {"kafka_topic": old.topic, "kafka_partition": partition},
            "offset": {"kafka_offset": offset},
        }
        for partition, offset in ((0, 19), (1, 8))
    ]
    path = old.ferry.folder / "connect.json"
    path.write_text(json.dumps({"offsets": rows}))
    old.adopt(connect_offsets=path)
    assert {0: (19, 19), 1: (8, 8)} == old.known()


def test_a_group_is_adopted_once_it_has_no_members(old, kafka_server):
    group = f"connect-{old.topic}"
    assert f"there is no such group: '{group}'" in old.refused(group=group)
    settings = {"bootstrap.servers": kafka_server.bootstrap_servers, "group.id": group}
    reader = Consumer({**settings, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    with closing(reader):
        reader.subscribe([old.topic])
        poll(lambda: reader.poll(1) is not None, "a picture")
        reader.commit(offsets=[TopicPartition(old.topic, 0, 17)], asynchronous=False)
        assert "is active: it has 1 members" in old.refused(group=group)
    notes = " ".join(old.adopt(group=group).notes)
    assert "partition 1 is unknown to the other system: from the earliest offset on" in notes
    assert "Kafka drops a group's offsets with the topic" in notes
    assert pictures((0, 17, 20), (1, 0, 8)) == old.carry()


def test_a_group_of_nothing_of_this_topic_and_our_own_mirror_are_refused(old, kafka_server):
    other = kafka_server.create_topic()
    kafka_server.set_group(f"g-{other}", [TopicPartition(other, 0, 0)])
    assert f"has committed nothing of topic {old.topic}" in old.refused(group=f"g-{other}")
    own = f"frameferry.{old.ferry.name}"
    assert "is this pipeline's own mirror" in old.refused(group=own)


def test_what_kafka_lost_is_refused_until_a_person_says_why_it_is_all_right(old, kafka_server):
    kafka_server.delete_records(old.topic, {0: 6})
    path = old.offsets({"0": 2, "1": 8})
    said = "partition 0: 4 offsets from 2 on lost: Kafka holds none below 6"
    assert said in old.refused(offsets=path)
    assert (said,) == old.adopt(offsets=path, dry_run=True).losses
    assert "a reason is needed" in old.refused(offsets=path, accepts_loss=" ")
    old.adopt(offsets=path, accepts_loss="the line was being cleaned")
    assert {0: (6, 6), 1: (8, 8)} == old.known()
    assert pictures((0, 6, 20)) == old.carry()
    with old.ferry.context() as ctx:
        [gap] = ctx.ledger.gaps(old.ferry.name)
    assert (2, 6, "ada") == (gap.start, gap.end, gap.accepted_by)


def test_what_was_planned_and_is_lost_is_not_carried(old, kafka_server):
    kafka_server.delete_records(old.topic, {0: 7})
    said = {"spark_checkpoint": str(old.checkpoint("died")), "carries": True}
    assert "3 offsets from 4 on lost" in old.refused(**said)
    old.adopt(**said, accepts_loss="they were seen")
    assert {0: (7, 10), 1: (3, 4)} == old.known()
    assert pictures((0, 7, 20), (1, 3, 8)) == old.carry()


def test_offsets_beyond_the_log_are_of_an_older_topic_and_refused_with_all_else(old):
    path = old.offsets({"0": 21, "1": 8, "5": 3})
    told = old.refused(offsets=path), "; ".join(old.adopt(offsets=path, dry_run=True).objections)
    for said in told:
        assert "partition 0: offset 21 lies beyond its end 20: the topic was created anew" in said
        assert "partition 5 is not there: the topic of today is another" in said
    assert f"reads {old.topic}" in old.refused(offsets=old.offsets({"0": 3}, "another"))


def test_a_record_that_is_younger_than_the_stream_gives_an_older_topic_away(old):
    """The stream stopped before this topic was made, though its offsets lie within it."""
    place = old.checkpoint("stopped")
    planned = place / "offsets" / "2"
    planned.write_text(
        planned.read_text().replace('"batchTimestampMs":179', '"batchTimestampMs":169')
    )
    said = old.refused(spark_checkpoint=str(place))
    assert "partition 0: the record at offset 3 is dated later than 2023-" in said
    assert "the topic may have been created anew since" in said
    old.adopt(spark_checkpoint=str(place), accepts_loss="that clock was wrong")
    assert {0: (4, 4), 1: (3, 3)} == old.known()


def test_an_open_transaction_holds_back_what_was_planned_and_no_beginning(old, kafka_server):
    old.topic = old.ferry.content["kafka"]["topic"] = kafka_server.create_topic(partitions=2)
    said = {"spark_checkpoint": str(old.checkpoint("died"))}
    then = {"timestamp_ms": 1_796_000_000_000}
    kafka_server.produce(old.topic, [b"a", b"b", b"c", b"d"], partition=1, **then)
    held = kafka_server.open_transaction(old.topic, [b"e"] * 10, **then)
    refused = old.refused(**said, carries=True)
    assert "partition 0: what was planned ends at 10, beyond 0, up to which Kafka" in refused
    old.adopt(**said)
    held.commit_transaction(30)
    assert {0: (4, 4), 1: (3, 3)} == old.known()


def test_where_the_ledger_was_lost_the_mirror_stays_and_recovery_is_asked_for(old):
    path = old.offsets({"0": 4, "1": 3})
    old.adopt(offsets=path)
    assert pictures((0, 4, 20), (1, 3, 8)) == old.carry()
    old.ferry.ledger_url = f"sqlite:///{old.ferry.folder / 'empty.db'}"
    assert f"frameferry ledger recover {old.ferry.name}" in old.adopt(offsets=path).next
    assert [20, 8] == old.mirror()
    with old.ferry.context() as ctx:
        with pytest.raises(LedgerOutdated):
            steps.plan(ctx)
        nothing = Recovering(taken_to={}, send_beyond=False)
        recover(ctx, nothing, verify=False, dry_run=False, who="ada")
    assert pictures((0, 4, 20), (1, 3, 8)) == old.carry()


def test_an_older_copy_of_the_ledger_is_not_adopted_anew(old):
    """The copy was made when nothing had begun, so that only the mirror knows better."""
    path = old.offsets({"0": 4, "1": 3})
    old.adopt(offsets=path)
    copy = old.ferry.folder / "older.db"
    shutil.copy(old.ferry.url.removeprefix("sqlite:///"), copy)
    assert pictures((0, 4, 20), (1, 3, 8)) == old.carry()
    old.ferry.ledger_url = f"sqlite:///{copy}"
    assert "is older than the world" in old.refused(offsets=path, again=True)


def test_a_share_of_a_topic_is_adopted_alone(old):
    old.ferry.content["kafka"]["partitions"] = [1]
    notes = old.adopt(offsets=old.offsets({"0": 4, "1": 3})).notes
    assert "partition 0 is not this pipeline's (kafka.partitions): left as it is" in notes
    assert {1: (3, 3)} == old.known()
    other = replace(old.ferry, content={**old.ferry.content, "pipeline": "another"})
    other.content["kafka"] = {**other.content["kafka"], "partitions": "all"}
    old.ferry = other
    path = old.offsets({"0": 4, "1": 3})
    assert "partition 1 belongs to pipeline" in old.refused(offsets=path)
    assert 1 == len(old.adopt(offsets=path, dry_run=True).objections)
