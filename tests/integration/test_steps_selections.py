"""Replays of what a person selects, on a real broker and a real FTP server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL
from fixtures.poison import Judge

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import ImageRecord, Prediction
from frameferry.domain.selection import Asked, OfBatch, Quarantined, Ranges
from frameferry.errors import ConfigError, LedgerConflict, OffsetsLost, ReplayStopped
from frameferry.operations import replay, selecting
from frameferry.operations.replay import ReplayPlan, plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.pipeline import family, steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up


class Picky(Judge):
    """Quarantines what is marked as torn, as long as it is told to."""

    torn: bytes | None = b"torn"

    def _row(self, record: ImageRecord) -> Prediction:
        said = super()._row(record)
        if self.torn is not None and self.torn in record.value:
            return replace(said, label=None, score=None, reason="truncated", detail="ends early")
        return said


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic(partitions=2)
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    made.content["model"] = {"path": str(MODEL)}
    made.content["batch"] = {"max_records": 5}
    return made


@pytest.fixture
def judge(kafka_server: Any) -> Picky:
    return Picky(kafka_server.connection, {})


@pytest.fixture
def ctx(ferry: FerryBench, judge: Picky) -> Iterator[Context]:
    with ferry.context() as opened:
        yield replace(opened, judge=judge.judge, control=judge.control)


def pictures(*torn: int, count: int = 10, prefix: str = "") -> list[bytes]:
    return [f"{prefix}{'torn' if n in torn else 'whole'} {n}".encode() for n in range(count)]


def carried(ctx: Context, selection: Asked, mode: Any = "redeliver") -> ReplayPlan:
    plan = plan_replay(ctx, selection, mode=mode, dry_run=False, who="anna")
    for batch_id in plan.batch_ids:
        family.carry(ctx, batch_id)
    return plan


def gone(ferry: FerryBench, ftp_server: Any) -> None:
    """Take all files away, as a consumer does."""
    base = ftp_server.root / ferry.content["deliver"]["base"].strip("/")
    for path in base.rglob("*"):
        if path.is_file():
            path.unlink()


def there(ferry: FerryBench, ftp_server: Any) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


@pytest.fixture
def shipped(ctx: Context, ferry: FerryBench, kafka_server: Any, ftp_server: Any) -> Context:
    """Ten pictures of each partition, delivered and taken; 2, 3 and 7 of partition 0 were torn."""
    topic = ctx.settings.kafka.topic
    kafka_server.produce(topic, pictures(2, 3, 7), partition=0)
    kafka_server.produce(topic, pictures(prefix="1: "), partition=1)
    run_until_caught_up(ctx)
    gone(ferry, ftp_server)
    return ctx


def test_ranges_of_several_partitions_are_one_replay(
    shipped: Context, ferry: FerryBench, ftp_server: Any
) -> None:
    plan = carried(shipped, selected(ranges=["1:1-9", "0:4-6", "0:8-10"]))
    assert [
        (OffsetRange(0, 4, 6), OffsetRange(0, 8, 10)),
        (OffsetRange(1, 1, 6),),
        (OffsetRange(1, 6, 9),),
    ] == list(plan.pieces)
    assert (12, 0, 3) == (plan.records, plan.quarantined, len(plan.batch_ids))
    [known] = shipped.ledger.replays(shipped.pipeline)
    assert ("done", "anna", 3) == (known.state, known.who, known.batches)
    first, second = pictures(), pictures(prefix="1: ")
    wanted = [first[at] for at in (4, 5, 8, 9)] + second[1:9]
    assert sorted(wanted) == there(ferry, ftp_server)


def test_a_batch_is_sent_again(shipped: Context, ferry: FerryBench, ftp_server: Any) -> None:
    *_, oldest = shipped.ledger.last_batches(shipped.pipeline)
    plan = carried(shipped, selected(batch=oldest.id))
    assert oldest.ranges == tuple(sorted(one for piece in plan.pieces for one in piece))
    assert oldest.record_count == plan.records + plan.quarantined
    assert plan.records == len(there(ferry, ftp_server))


def test_a_record_is_sent_again(shipped: Context, ferry: FerryBench, ftp_server: Any) -> None:
    plan = carried(shipped, selected(record="1:4"))
    assert (1, 0) == (plan.records, plan.quarantined)
    assert [b"1: whole 4"] == there(ferry, ftp_server)


def test_what_is_quarantined_for_a_reason_is_judged_again_and_nothing_else(
    shipped: Context, ferry: FerryBench, ftp_server: Any, judge: Picky
) -> None:
    judge.torn = None
    plan = carried(shipped, selected(quarantined="truncated"), "reinfer")
    assert (0, 3) == (plan.records, plan.quarantined)
    assert ((OffsetRange(0, 2, 4), OffsetRange(0, 7, 8)),) == plan.pieces
    assert [b"torn 2", b"torn 3", b"torn 7"] == there(ferry, ftp_server)
    assert [] == shipped.ledger.quarantined(shipped.pipeline)
    with pytest.raises(ConfigError, match=r"matches: all quarantined as 'truncated'\. In .*: none"):
        carried(shipped, selected(quarantined="truncated"), "reinfer")


def test_a_reason_that_is_unknown_is_answered_by_those_there_are(shipped: Context) -> None:
    with pytest.raises(ConfigError, match=r"In quarantine are: truncated \(3\)"):
        carried(shipped, Quarantined("truncate"), "reinfer")


def test_a_redeliver_of_what_is_in_quarantine_would_send_nothing(shipped: Context) -> None:
    with pytest.raises(ConfigError, match=r"nothing would be sent.*--mode reinfer"):
        carried(shipped, selected(quarantined="truncated"))


def test_of_what_is_in_quarantine_the_rest_is_replayed_where_kafka_lost_some(
    shipped: Context, ferry: FerryBench, ftp_server: Any, judge: Picky, kafka_server: Any
) -> None:
    kafka_server.delete_records(shipped.settings.kafka.topic, {0: 3})
    judge.torn = None
    plan = carried(shipped, selected(quarantined="truncated"), "reinfer")
    assert plan.sentence.endswith("; 1 offset of it Kafka no longer holds")
    assert [b"torn 3", b"torn 7"] == there(ferry, ftp_server)
    kafka_server.delete_records(shipped.settings.kafka.topic, {0: 10})
    with pytest.raises(OffsetsLost, match="nothing any more of all quarantined as 'truncated'"):
        carried(shipped, selected(quarantined="truncated"), "reinfer")


def test_a_window_of_time_is_sent_again_by_the_records_own_timestamps(
    ctx: Context, ferry: FerryBench, kafka_server: Any, ftp_server: Any
) -> None:
    six = 1_777_615_200_000
    for minute in (0, 90, 30, 59, 60, 31):
        for partition in (0, 1):
            value = f"{partition}: minute {minute}".encode()
            kafka_server.produce(
                ctx.settings.kafka.topic,
                [value],
                partition=partition,
                timestamp_ms=six + minute * 60_000,
            )
    run_until_caught_up(ctx)
    gone(ferry, ftp_server)
    window = {"since": "2026-05-01T08:30:00+02:00", "until": "2026-05-01T07:00:00Z"}
    plan = carried(ctx, selected(**window))
    assert 6 == plan.records
    wanted = [f"{of}: minute {minute}".encode() for of in (0, 1) for minute in (30, 31, 59)]
    assert sorted(wanted) == there(ferry, ftp_server)
    with pytest.raises(ConfigError, match="nothing that is committed matches: records of 2020"):
        carried(ctx, selected(since="2020-01-01T00:00Z", until="2020-01-02T00:00Z"))
    # What Kafka lost of a window is found in the ledger, and said.
    kafka_server.delete_records(ctx.settings.kafka.topic, {0: 4})
    told = plan_replay(ctx, selected(**window), mode="redeliver", dry_run=True)
    assert (4, 2) == (told.records, told.gone)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"batch": 999}, LedgerConflict, "no batch 999"),
        ({"record": "0:10"}, ConfigError, r"0:\[10, 11\) ends beyond the committed offset 10"),
        ({"record": "4:1"}, ConfigError, "no partition 4; it has: 0, 1"),
        ({"ranges": ["0:1-3", "1:9-12"]}, ConfigError, "beyond the committed offset 10"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_frozen(
    shipped: Context, fields: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        carried(shipped, selected(**fields))
    assert [] == shipped.ledger.replays(shipped.pipeline)


def test_too_many_batches_are_refused(shipped: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MAX_BATCHES", 1)
    with pytest.raises(ConfigError, match="makes 2 batches of up to 5 offsets and 64 ranges"):
        carried(shipped, selected(partition=0, start=0, end=10))


def test_a_batch_holds_a_bounded_number_of_ranges(
    shipped: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_RANGES_OF_BATCH", 2)
    asked = selected(ranges=["0:0-1", "0:4-5", "0:6-7"])
    told = plan_replay(shipped, asked, mode="redeliver", dry_run=True)
    assert [2, 1] == [len(piece) for piece in told.pieces]


def test_a_batch_of_another_pipeline_is_refused(shipped: Context, kafka_server: Any) -> None:
    kafka = shipped.settings.kafka.model_copy(update={"topic": kafka_server.create_topic()})
    settings = shipped.settings.model_copy(update={"pipeline": "other", "kafka": kafka})
    other = replace(shipped, settings=settings)
    run_until_caught_up(other)
    with pytest.raises(ConfigError, match=f"batch 1 is of pipeline {shipped.pipeline}"):
        carried(other, selected(batch=1))


def test_a_replay_beside_the_live_flow_never_moves_a_committed_offset(
    shipped: Context, ferry: FerryBench, kafka_server: Any, ftp_server: Any
) -> None:
    asked = selected(partition=0, start=0, end=10)
    plan = plan_replay(shipped, asked, mode="redeliver", dry_run=False, who="anna")
    kafka_server.produce(shipped.settings.kafka.topic, [b"live 10", b"live 11"], partition=0)
    [live] = steps.plan(shipped).batch_ids
    first, *rest = plan.batch_ids
    family.carry(shipped, first)
    assert {0: 10, 1: 10} == shipped.ledger.committed_offsets(shipped.pipeline)
    family.carry(shipped, live)
    assert {0: 12, 1: 10} == shipped.ledger.committed_offsets(shipped.pipeline)
    for batch_id in rest:
        family.carry(shipped, batch_id)
    assert {0: 12, 1: 10} == shipped.ledger.committed_offsets(shipped.pipeline)
    assert {0: 12, 1: 10} == steps.publish(shipped)
    whole = [one for one in pictures(2, 3, 7) if b"whole" in one]
    assert sorted([*whole, b"live 10", b"live 11"]) == there(ferry, ftp_server)


def test_replays_are_listed_with_who_asked_and_how_far_they_are(
    shipped: Context, ferry: FerryBench
) -> None:
    asked = selected(partition=1, start=0, end=10)
    plan = plan_replay(shipped, asked, mode="redeliver", dry_run=False, who="anna")
    family.carry(shipped, plan.batch_ids[0])
    [told] = ferry.json("replays", ferry.name)
    assert ("open", "anna", 2, 1) == tuple(told[key] for key in ("state", "who", "batches", "open"))
    assert {"ranges": [{"partition": 1, "from": 0, "to": 10}]} == told["selection"]
    assert "1:[0, 10)" in ferry.run("replays", ferry.name).stdout


def test_the_command_line_takes_each_kind_and_tells_programs(
    shipped: Context, ferry: FerryBench
) -> None:
    """Nothing is judged here: a dry run of what stands."""
    told = ferry.json("replay", ferry.name, "--range", "0:4-6", "--range", "1:0-3", "--dry-run")
    listed = [{"partition": 0, "from": 4, "to": 6}, {"partition": 1, "from": 0, "to": 3}]
    assert ({"ranges": listed}, 5) == (told["selection"], told["records"])
    assert [] == told["batch_ids"]
    done = ferry.run("replay", ferry.name, "--record", "1:4", "--dry-run")
    assert "dry run: redeliver record 1:4: 1 record delivered before" in done.stdout
    done = ferry.run("replay", ferry.name, "--batch", "1", "--record", "1:4")
    assert 1 == done.returncode
    assert "select by a batch and by a record, or what?" in " ".join(done.stderr.split())
    done = ferry.run("replay", ferry.name, "--dry-run")
    assert "nothing is selected" in " ".join(done.stderr.split())


def test_all_of_a_label_are_sent_again_within_bounds(
    shipped: Context, ferry: FerryBench, ftp_server: Any
) -> None:
    label = next(iter(shipped.ledger.counts(shipped.pipeline).labels))
    theirs = {
        (one.partition, one.offset) for one in shipped.ledger.records(shipped.pipeline, label=label)
    }
    plan = carried(shipped, selected(label=label, ranges=["0:0-9", "1:6-10"]))
    first, second = pictures(2, 3, 7), pictures(prefix="1: ")
    wanted = [first[at] for at in range(9) if (0, at) in theirs]
    wanted += [second[at] for at in range(6, 10) if (1, at) in theirs]
    assert (len(wanted), 0, 0) == (plan.records, plan.quarantined, plan.gone)
    assert sorted(wanted) == there(ferry, ftp_server) != []
    with pytest.raises(ConfigError, match="nothing that is committed matches: all labelled 'x'"):
        carried(shipped, selected(label="x"))
    with pytest.raises(ConfigError, match=r"1:\[8, 12\) ends beyond the committed offset 10"):
        carried(shipped, selected(label=label, ranges=["1:8-12"]))
    with pytest.raises(ConfigError, match="cannot be looked for within batch 1"):
        selected(label=label, batch=1)


def test_what_lies_in_too_many_ranges_is_refused(
    shipped: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "MAX_RANGES", 1)
    with pytest.raises(ConfigError, match=r"scored below 1 lie in more than 1 separate ranges"):
        carried(shipped, selected(below=1.0))


def test_the_last_failed_batch_is_sent_again_once_it_is_committed(
    shipped: Context, kafka_server: Any, judge: Picky
) -> None:
    with pytest.raises(ConfigError, match="no batch of this pipeline failed"):
        carried(shipped, selected(last_failed=True))
    kafka_server.produce(shipped.settings.kafka.topic, [b"late"], partition=0)
    [batch_id] = steps.plan(shipped).batch_ids
    token = shipped.ledger.claim(batch_id, owner=shipped.owner, lease_seconds=30).token
    shipped.ledger.count_failure(token, "failure", error="it died")
    with pytest.raises(ConfigError, match=f"batch {batch_id}: the last failed batch is not commi"):
        carried(shipped, selected(last_failed=True))
    family.carry(shipped, batch_id)
    assert 1 == carried(shipped, selected(last_failed=True)).records
    [known] = shipped.ledger.replays(shipped.pipeline)
    assert OfBatch(batch_id) == known.selection


def test_a_person_makes_batches_smaller_and_never_larger(shipped: Context) -> None:
    asked = selected(partition=1, start=0, end=10)
    told = plan_replay(shipped, asked, mode="redeliver", dry_run=True, piece_records=2)
    assert [2] * 5 == [sum(one.length for one in piece) for piece in told.pieces]
    for wrong in (0, 6):
        with pytest.raises(ConfigError, match=r"Give 1 to 5 \(batch.max_records\)"):
            plan_replay(shipped, asked, mode="redeliver", dry_run=True, piece_records=wrong)


def test_a_dry_run_says_how_much_it_is_and_how_long_it_takes(shipped: Context) -> None:
    asked = selected(partition=0, start=0, end=10)
    told = plan_replay(shipped, asked, mode="redeliver", dry_run=True)
    whole = [one for one in pictures(2, 3, 7) if b"whole" in one]
    assert sum(map(len, whole)) == told.size_bytes
    again = plan_replay(shipped, asked, mode="reinfer", dry_run=True)
    assert sum(map(len, pictures(2, 3, 7))) == again.size_bytes
    assert told.seconds is not None
    assert again.seconds is not None
    assert 0 < told.seconds < again.seconds
    assert f"{told.size_bytes} bytes, at most " in told.sentence
    assert f"{again.size_bytes} bytes, about " in again.sentence


def test_a_stopped_replay_goes_on_by_the_same_words_and_tells_what_it_changed(
    shipped: Context, ferry: FerryBench, ftp_server: Any
) -> None:
    asked = selected(partition=1, start=0, end=10)
    first, second = plan_replay(shipped, asked, mode="reinfer", dry_run=False, who="anna").batch_ids
    family.carry(shipped, first)
    stopped = ferry.run("replays", "stop", ferry.name, "1")
    assert "is stopped; 1 batch left" in stopped.stdout, stopped.stderr
    with pytest.raises(ReplayStopped, match="stopped replay 1"):
        family.carry(shipped, second)
    assert 5 == len(there(ferry, ftp_server))
    [line] = status(shipped).open_batches
    assert (second, "stopped", None) == (line.batch, line.state, line.last_error)
    dry = plan_replay(shipped, asked, mode="reinfer", dry_run=True)
    assert ((), (second,)) == (dry.batch_ids, dry.taken_up)
    assert "stopped" == shipped.ledger.find_replay(shipped.pipeline, 1).state
    carried(shipped, asked, "reinfer")
    assert 10 == len(there(ferry, ftp_server))
    told = ferry.json("replays", "show", ferry.name, "1")
    assert ("done", 10) == (told["state"], sum(one["records"] for one in told["changes"]))
    # The judge here says another label at every call.
    assert all(one["before"] != one["after"] for one in told["changes"])
    again = ferry.run("replays", "resume", ferry.name, "1")
    assert (1, True) == (again.returncode, "was not stopped" in " ".join(again.stderr.split()))


def test_all_from_an_offset_on_is_carried_again_and_no_committed_offset_goes_back(
    shipped: Context, ferry: FerryBench, ftp_server: Any, kafka_server: Any
) -> None:
    plan = carried(shipped, selected(resume_from=["0:8", "1:7"]))
    wanted = [*pictures()[8:], *pictures(prefix="1: ")[7:]]
    assert sorted(wanted) == there(ferry, ftp_server)
    assert Ranges((OffsetRange(0, 8, 10), OffsetRange(1, 7, 10))) == plan.selection
    assert {0: 10, 1: 10} == shipped.ledger.committed_offsets(shipped.pipeline)
    for point, says in (
        ("0:10", r"record 0:10 is not below the committed offset 10"),
        ("7:0", r"record 7:0 is not below the committed offset 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            carried(shipped, selected(resume_from=[point]))
    with pytest.raises(ConfigError, match=r"0:\[2, 10\) and 0:\[8, 10\) overlap"):
        carried(shipped, selected(resume_from=["0:8", "0:2"]))
    kafka_server.delete_records(shipped.settings.kafka.topic, {0: 4})
    with pytest.raises(OffsetsLost, match=r"Choose from >= 4"):
        carried(shipped, selected(resume_from=["0:2"]))
