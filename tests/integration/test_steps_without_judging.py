"""The steps on a real broker and a real FTP server, for a pipeline that judges nothing."""

from __future__ import annotations

import pytest
from fixtures.ferry import bench, delivered_files

from frameferry.config.person import person
from frameferry.errors import BatchUnfinished, ConfigError, OffsetsLost
from frameferry.ledger.records import replays
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.pipeline import family, steps
from frameferry.pipeline.run import run_batch, run_until_caught_up


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    topic = kafka_server.create_topic(partitions=2)
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


def values(number: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}picture {i}".encode() * (i + 1) for i in range(number)]


def contents(ferry, ftp_server) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


def test_every_record_becomes_its_own_file(ferry, kafka_server, ftp_server):
    topic = ferry.content["kafka"]["topic"]
    sent = values(150, "a") + values(70, "b")
    kafka_server.produce(topic, sent[:150], partition=0)
    kafka_server.produce(topic, sent[150:], partition=1)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        told = status(ctx)
    assert sorted(sent) == contents(ferry, ftp_server)
    assert [150, 70] == [line.committed for line in told.partitions]
    assert [0, 0] == [line.lag for line in told.partitions]
    assert (220, 220, 0) == (told.counts.records, told.counts.delivered, told.counts.quarantined)
    assert told.healthy, told.advice


def test_committed_offsets_are_mirrored_to_the_consumer_group(ferry, kafka_server):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(5), partition=1)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        with ctx.cluster() as cluster:
            mirrored = cluster.mirrored(ctx.group, ctx.settings.kafka.topic, [0, 1])
        assert 5 == mirrored[1][0]
        assert ctx.ledger.epoch() in mirrored[1][1]


def test_transactions_aborted_records_and_markers(ferry, kafka_server, ftp_server):
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce_transaction(topic, values(3, "aborted"), abort=True)
    kafka_server.produce_transaction(topic, values(3, "kept"))
    kafka_server.produce_transaction(topic, values(2, "aborted too"), abort=True)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        told = status(ctx)
    assert sorted(values(3, "kept")) == contents(ferry, ftp_server)
    assert 11 == told.partitions[0].committed


def test_a_second_run_finds_nothing_to_do(ferry, kafka_server):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(3))
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        assert () == steps.plan(ctx).batch_ids
        readiness = steps.wait(ctx)
    assert not readiness.now
    assert "no lag" in readiness.reason


def test_steps_may_be_called_again(ferry, kafka_server, ftp_server):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(4))
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        with pytest.raises(BatchUnfinished):
            steps.commit(ctx, batch)
        for _ in range(2):
            steps.infer(ctx, batch)
        for _ in range(2):
            steps.deliver(ctx, batch)
        first = steps.commit(ctx, batch)
        assert first == steps.commit(ctx, batch)
        steps.verdict(ctx, [batch])
    assert 4 == len(contents(ferry, ftp_server))


def test_a_batch_that_is_finished_early_waits_for_the_one_before(ferry, kafka_server):
    ferry.content["batch"] = {"max_records": 5}
    kafka_server.produce(ferry.content["kafka"]["topic"], values(10))
    with ferry.context() as ctx:
        first, second = steps.plan(ctx).batch_ids
        for step in (steps.infer, steps.deliver):
            step(ctx, second)
        assert 0 == steps.commit(ctx, second)[0]
        with pytest.raises(BatchUnfinished, match=str(first)):
            steps.verdict(ctx, [first, second])
        run_batch(ctx, first)
        assert 10 == ctx.ledger.committed_offsets(ctx.pipeline)[0]
        steps.verdict(ctx, [first, second])


def test_a_replay_sends_the_same_files_again_and_moves_no_offset(ferry, kafka_server, ftp_server):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(8))
    base = ferry.content["deliver"]["base"]
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        before = delivered_files(ftp_server, base)
        for path in list(before)[:4]:
            (ftp_server.root / base.strip("/") / path).unlink()
        span = selected(partition=0, start=0, end=8)
        told = plan_replay(ctx, span, mode="redeliver", dry_run=True)
        assert (8, 0, ()) == (told.records, told.quarantined, told.batch_ids)
        plan = plan_replay(ctx, span, mode="redeliver", dry_run=False)
        for batch in plan.batch_ids:
            run_batch(ctx, batch)
        assert {0: 8, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
        counts = ctx.ledger.counts(ctx.pipeline)
    assert before == delivered_files(ftp_server, base)
    assert (8, 8, 0) == (counts.records, counts.delivered, counts.quarantined)


def test_a_replay_that_was_interrupted_is_taken_up_by_the_same_replay(ferry, kafka_server):
    ferry.content["batch"] = {"max_records": 5}
    kafka_server.produce(ferry.content["kafka"]["topic"], values(20))
    asked = {"selection": selected(partition=0, start=2, end=14), "mode": "redeliver"}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        first = plan_replay(ctx, dry_run=False, **asked)
        one, two, three = first.batch_ids
        run_batch(ctx, one)
        for step in (steps.infer, steps.deliver):
            step(ctx, two)
        with pytest.raises(BatchUnfinished, match=f"{three}. The same replay again goes on"):
            steps.verdict(ctx, [one, two, three])
        told = plan_replay(ctx, dry_run=True, **asked)
        assert ((), (two, three), ()) == (told.pieces, told.taken_up, told.batch_ids)
        again = plan_replay(ctx, dry_run=False, **asked)
        assert (two, three) == again.batch_ids
        assert "in what is left of a replay that did not end: 2 batches" in again.sentence
        [known] = ctx.ledger.replays(ctx.pipeline)
        assert ("open", 3, (two, three)) == (known.state, known.batches, known.open_batches)
        for batch in again.batch_ids:
            run_batch(ctx, batch)
        [known] = ctx.ledger.replays(ctx.pipeline)
        assert ("done", person()) == (known.state, known.who)
        # It has ended: whoever asks now wants all of it once more.
        assert 3 == len(plan_replay(ctx, dry_run=True, **asked).pieces)


def test_a_replay_that_dies_while_it_is_planned_leaves_none_of_its_batches(
    ferry, kafka_server, monkeypatch
):
    ferry.content["batch"] = {"max_records": 5}
    kafka_server.produce(ferry.content["kafka"]["topic"], values(20))
    asked = {"selection": selected(partition=0, start=0, end=12), "mode": "redeliver"}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        real, calls = replays.insert_batch, []

        def dies(*args, **kwargs):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(replays, "insert_batch", dies)
            with pytest.raises(KeyboardInterrupt):
                plan_replay(ctx, dry_run=False, **asked)
        assert [] == ctx.ledger.replays(ctx.pipeline)
        assert () == ctx.ledger.pipeline_state(ctx.pipeline).open_batches
        again = plan_replay(ctx, dry_run=False, **asked)
        ranges = [ctx.ledger.batch(batch).ranges for batch in again.batch_ids]
    assert [(0, 5), (5, 10), (10, 12)] == [(one.start, one.end) for (one,) in ranges]


def test_another_replay_of_the_range_says_how_the_open_one_is_ended(ferry, kafka_server):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(8))
    with ferry.context() as ctx:
        run_until_caught_up(ctx)

        def ask(start, end, mode, *, dry_run=False):
            span = selected(partition=0, start=start, end=end)
            return plan_replay(ctx, span, mode=mode, dry_run=dry_run)

        (open_one,) = ask(2, 6, "redeliver").batch_ids
        says = (
            r"is under replay 1 \(redeliver 0:\[2, 6\)\) of \w+, which is open.*"
            "--partition 0 --from 2 --to 6 --mode redeliver"
        )
        for asked in (
            (2, 6, "reinfer"),
            (3, 5, "redeliver"),
            (0, 4, "redeliver"),
            (2, 8, "reinfer"),
        ):
            for dry_run in (True, False):
                with pytest.raises(ConfigError, match=says):
                    ask(*asked, dry_run=dry_run)
        assert (open_one,) == ask(2, 6, "redeliver").batch_ids


@pytest.mark.parametrize(
    ("partition", "start", "end", "says"),
    [
        (7, 0, 1, "no partition 7"),
        (0, 3, 3, "not an offset range"),
        (0, -1, 2, "not an offset range"),
        (0, 0, 99, "beyond the committed offset 8"),
    ],
)
def test_a_replay_of_nonsense_is_refused(ferry, kafka_server, partition, start, end, says):
    kafka_server.produce(ferry.content["kafka"]["topic"], values(8))
    with ferry.context() as ctx:
        run_until_caught_up(ctx)

        def ask():
            span = selected(partition=partition, start=start, end=end)
            plan_replay(ctx, span, mode="redeliver", dry_run=False)

        with pytest.raises(ConfigError, match=says):
            ask()


@pytest.mark.parametrize("mode", ["redeliver", "reinfer"])
def test_a_replay_of_what_kafka_no_longer_holds_is_refused(ferry, kafka_server, mode):
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, values(8))
    whole, rest = (selected(partition=0, start=start, end=8) for start in (2, 3))
    asked = {"mode": mode}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        kafka_server.delete_records(topic, {0: 3})
        for dry_run in (True, False):
            with pytest.raises(OffsetsLost, match=r"low watermark 3: .* Choose from >= 3"):
                plan_replay(ctx, whole, dry_run=dry_run, **asked)
        (batch,) = plan_replay(ctx, rest, dry_run=False, **asked).batch_ids
        # What is begun ends, whatever becomes of the log: what is lost of it are gaps.
        kafka_server.delete_records(topic, {0: 8})
        assert (batch,) == plan_replay(ctx, rest, dry_run=False, **asked).batch_ids
        family.carry(ctx, batch)
        assert () == ctx.ledger.pipeline_state(ctx.pipeline).open_batches
        with pytest.raises(OffsetsLost, match="Nothing of it can be replayed"):
            plan_replay(ctx, rest, dry_run=True, **asked)
