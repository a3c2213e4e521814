"""The witness and recovery, on a real broker, a real FTP server and both databases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.ledgers import DATABASES, fresh_database

from frameferry.errors import (
    ConfigError,
    Fenced,
    FtpUnavailable,
    LedgerConflict,
    LedgerOutdated,
)
from frameferry.ledger.upkeep.backups import back_up
from frameferry.ledger.upkeep.restoring import restore
from frameferry.operations.recover import Decision, recover
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up
from frameferry.pipeline.world import witness, world

NOTHING = Decision(taken_to={}, send_beyond=False)


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    topic = kafka_server.create_topic(partitions=2)
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    ferry.content["batch"] = {"max_records": 10}
    return ferry


@pytest.fixture(params=DATABASES)
def database(request, ferry, tmp_path):
    with fresh_database(request, request.param, tmp_path) as url:
        ferry.ledger_url = url
        yield url


def produce(ferry: FerryBench, kafka_server, first: int, count: int, partition: int = 0) -> None:
    values = [f"picture {partition}-{at}".encode() * 3 for at in range(first, first + count)]
    kafka_server.produce(ferry.content["kafka"]["topic"], values, partition=partition)


def carry(ctx: Context) -> int:
    return run_until_caught_up(ctx, stalled_seconds=5).batches


def folder(ferry: FerryBench, ftp_server) -> Path:
    return ftp_server.root / ferry.content["deliver"]["base"].strip("/")


def stamps(ferry: FerryBench, ftp_server) -> dict[str, int]:
    """Every file with its inode: a file that was sent again is another."""
    base = folder(ferry, ftp_server)
    return {str(p.relative_to(base)): p.stat().st_ino for p in base.rglob("*") if p.is_file()}


def look_again(ctx: Context, **options) -> object:
    decision = options.pop("decision", NOTHING)
    return recover(ctx, decision, verify=False, dry_run=False, who="anna", **options)


def test_an_older_backup_is_noticed_recovered_and_nothing_is_lost_or_doubled(
    ferry, database, kafka_server, ftp_server, tmp_path
):
    produce(ferry, kafka_server, 0, 15)
    with ferry.context() as ctx:
        carry(ctx)
        back_up(database, tmp_path / "backup.db")
        produce(ferry, kafka_server, 15, 20)
        produce(ferry, kafka_server, 0, 7, partition=1)
        carry(ctx)
        produce(ferry, kafka_server, 35, 4)
        [last] = steps.plan(ctx).batch_ids
        steps.infer(ctx, last)
        steps.deliver(ctx, last)
    before = stamps(ferry, ftp_server)
    assert 46 == len(before)
    restore(database, tmp_path / "backup.db", who="anna", replace=True)
    produce(ferry, kafka_server, 39, 6)
    with ferry.context() as ctx:
        with pytest.raises(LedgerOutdated, match=f"ledger recover {ctx.pipeline}"):
            steps.plan(ctx)
        assert not steps.wait(ctx).now
        found = look_again(ctx)
        assert [24, 7] == [one.seen for one in found.partitions]
        assert steps.wait(ctx).now
        carry(ctx)
        told = status(ctx)
        rows = ctx.ledger.records(ctx.pipeline)
    after = stamps(ferry, ftp_server)
    assert 52 == len(after)
    assert before == {path: after[path] for path in before}, "a file was sent a second time"
    assert [45, 7] == [line.committed for line in told.partitions]
    assert (52, 52) == (told.counts.records, told.counts.delivered)
    assert {(row.partition, row.offset) for row in rows} == {
        *((0, at) for at in range(45)),
        *((1, at) for at in range(7)),
    }
    base = ferry.content["deliver"]["base"]
    assert {row.remote_path.removeprefix(f"{base}/") for row in rows} == set(after)
    assert told.healthy, told.advice


def snapshot(request, database: str, folder: Path) -> str:
    """Copy the database as it is now, epoch and all: what a replica that lags behind is."""
    if database.startswith("sqlite"):
        copy = folder / "replica.db"
        shutil.copy(database.removeprefix("sqlite:///"), copy)
        return f"sqlite:///{copy}"
    return request.getfixturevalue("postgres").copy_database(database)


def test_a_promoted_older_replica_is_noticed_and_its_tokens_are_fenced(
    ferry, database, kafka_server, ftp_server, tmp_path, request
):
    produce(ferry, kafka_server, 0, 10)
    with ferry.context() as ctx:
        carry(ctx)
    replica = snapshot(request, database, tmp_path)
    produce(ferry, kafka_server, 10, 10)
    with ferry.context() as ctx:
        carry(ctx)
    produce(ferry, kafka_server, 20, 5)
    with ferry.context() as ctx:
        [lost] = steps.plan(ctx).batch_ids
        zombie = ctx.ledger.claim(lost, owner="zombie", lease_seconds=60).token
        epoch = ctx.ledger.epoch()
    before = stamps(ferry, ftp_server)
    ferry.ledger_url = replica
    with ferry.context() as ctx:
        assert epoch == ctx.ledger.epoch()
        with pytest.raises(LedgerOutdated, match="0: 20 was committed, the ledger has 10"):
            steps.plan(ctx)
        found = look_again(ctx)
        assert epoch != found.epoch
        carry(ctx)
        with pytest.raises(Fenced):
            ctx.ledger.renew(zombie, 60)
        newest = ctx.ledger.last_batches(ctx.pipeline, 1)[0].id
        assert newest > lost + 1
        assert 25 == ctx.ledger.counts(ctx.pipeline).delivered
    after = stamps(ferry, ftp_server)
    assert 25 == len(after)
    assert before == {path: after[path] for path in before}


def test_a_mirror_that_is_behind_is_normal(ferry, kafka_server):
    produce(ferry, kafka_server, 0, 5)
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        run_batch(ctx, batch)
        assert witness.objection(ctx) is None
        steps.publish(ctx)
        assert witness.objection(ctx) is None


def test_a_new_ledger_beside_an_old_group_is_refused_until_recovered(
    ferry, kafka_server, ftp_server, tmp_path
):
    produce(ferry, kafka_server, 0, 25)
    with ferry.context() as ctx:
        carry(ctx)
    before = stamps(ferry, ftp_server)
    ferry.ledger_url = f"sqlite:///{tmp_path / 'new.db'}"
    with ferry.context() as ctx:
        with pytest.raises(LedgerOutdated):
            steps.plan(ctx)
        told = status(ctx)
        assert not told.healthy
        assert any("ledger recover" in line for line in told.advice)
        look_again(ctx)
        carry(ctx)
        assert 25 == ctx.ledger.counts(ctx.pipeline).delivered
    assert before == stamps(ferry, ftp_server)


@pytest.mark.parametrize(
    "words", ["", "somebody's own words", '{"epoch": "e", "topic": "another"}']
)
def test_offsets_that_are_not_ours_say_nothing(ferry, kafka_server, words):
    produce(ferry, kafka_server, 0, 5)
    with ferry.context() as ctx:
        with ctx.cluster() as cluster:
            cluster.mirror(ctx.group, ctx.settings.kafka.topic, {0: 99}, metadata=words)
        assert 1 == carry(ctx)
        with ctx.cluster() as cluster:
            assert 5 == cluster.mirrored(ctx.group, ctx.settings.kafka.topic, [0])[0][0]


def test_an_older_ledger_never_takes_the_witness_its_memory(ferry, kafka_server, tmp_path, request):
    produce(ferry, kafka_server, 0, 5)
    with ferry.context() as ctx:
        carry(ctx)
    copies = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        copies.append(snapshot(request, ferry.url, tmp_path / name))
    produce(ferry, kafka_server, 5, 5)
    with ferry.context() as ctx:
        carry(ctx)
    ferry.ledger_url = copies[0]
    with ferry.context() as ctx:
        with pytest.raises(LedgerOutdated):
            steps.publish(ctx)
        look_again(ctx)
        steps.publish(ctx)
        assert 5 == ctx.ledger.committed_offsets(ctx.pipeline)[0]
    ferry.ledger_url = copies[1]
    with ferry.context() as ctx, pytest.raises(LedgerOutdated):
        steps.plan(ctx)


def take_all(ferry: FerryBench, ftp_server) -> set[str]:
    """What a consumer does that takes files away at once."""
    taken = set(delivered_files(ftp_server, ferry.content["deliver"]["base"]))
    for path in taken:
        (folder(ferry, ftp_server) / path).unlink()
    return taken


@pytest.fixture
def taken(ferry, kafka_server, ftp_server, tmp_path):
    """Ten records in the backup, ten more committed, five delivered beyond; all files are taken."""
    ferry.content["deliver"]["after"] = "taken"
    produce(ferry, kafka_server, 0, 10)
    with ferry.context() as ctx:
        carry(ctx)
        back_up(ferry.url, tmp_path / "backup.db")
        produce(ferry, kafka_server, 10, 10)
        carry(ctx)
        produce(ferry, kafka_server, 20, 5)
        [last] = steps.plan(ctx).batch_ids
        steps.infer(ctx, last)
        steps.deliver(ctx, last)
    assert 25 == len(take_all(ferry, ftp_server))
    restore(ferry.url, tmp_path / "backup.db", who="anna", replace=True)
    return ferry


def test_what_a_consumer_took_is_asked_for_and_not_guessed(taken):
    with taken.context() as ctx:
        with pytest.raises(ConfigError, match=r"partition 0 from 20 on.*--taken-to"):
            look_again(ctx)
        with pytest.raises(LedgerOutdated):
            steps.plan(ctx)
        for wrong, says in (({7: 1}, "no such partition"), ({0: 26}, "26 lies outside 10")):
            with pytest.raises(ConfigError, match=says):
                look_again(ctx, decision=Decision(wrong, send_beyond=False))


def test_below_the_mirror_nothing_that_was_taken_is_sent_again(taken, ftp_server):
    with taken.context() as ctx:
        look_again(ctx, decision=Decision({}, send_beyond=True))
        carry(ctx)
        assert (25, 25) == (ctx.ledger.counts(ctx.pipeline).records, delivered(ctx))
    assert {f"{20 + at:020d}" for at in range(5)} == offsets(taken, ftp_server)


def test_beyond_the_mirror_a_persons_word_decides(taken, ftp_server):
    with taken.context() as ctx:
        look_again(ctx, decision=Decision({0: 23}, send_beyond=False))
        carry(ctx)
        assert 25 == delivered(ctx)
    assert {f"{at:020d}" for at in (23, 24)} == offsets(taken, ftp_server)


def test_a_short_file_beyond_the_mirror_is_no_delivery_where_files_are_taken(taken, ftp_server):
    with taken.context() as ctx:
        names = {row.offset: row.remote_path for row in ctx.ledger.records(ctx.pipeline)}
        short = ftp_server.root / names[9].replace(f"{9:020d}", f"{24:020d}").lstrip("/")
        short.parent.mkdir(parents=True, exist_ok=True)
        short.write_bytes(b"half")
        look_again(ctx, decision=Decision({}, send_beyond=True))
        carry(ctx)
    assert b"picture 0-24" * 3 == short.read_bytes()


def delivered(ctx: Context) -> int:
    return ctx.ledger.counts(ctx.pipeline).delivered


def offsets(ferry: FerryBench, ftp_server) -> set[str]:
    files = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    return {Path(path).stem.rpartition("-")[2] for path in files}


def test_where_files_are_kept_there_is_nothing_to_decide(ferry, kafka_server):
    with ferry.context() as ctx:
        world.observe(ctx)
        with pytest.raises(ConfigError, match="kept"):
            look_again(ctx, decision=Decision({0: 0}, send_beyond=False))


@pytest.fixture
def restored(ferry, kafka_server, tmp_path):
    """Five records in the backup, judged and not delivered; five more since; all delivered."""
    return deliver_and_restore(ferry, kafka_server, tmp_path)


def deliver_and_restore(ferry, kafka_server, tmp_path):
    produce(ferry, kafka_server, 0, 5)
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
        back_up(ferry.url, tmp_path / "backup.db")
        produce(ferry, kafka_server, 5, 5)
        carry(ctx)
    restore(ferry.url, tmp_path / "backup.db", who="anna", replace=True)
    return ferry


def test_rows_that_were_judged_before_the_backup_are_settled_too(restored, ftp_server):
    before = stamps(restored, ftp_server)
    with restored.context() as ctx:
        assert 5 == look_again(ctx).in_doubt
        carry(ctx)
        assert 10 == delivered(ctx)
    assert before == stamps(restored, ftp_server)


@pytest.mark.parametrize("name", ["{partition}-{offset}_{stem}{suffix}", "{partition}-{offset}"])
def test_a_sidecar_is_not_taken_for_a_picture(ferry, kafka_server, ftp_server, tmp_path, name):
    ferry.content["deliver"] |= {"name": name, "sidecar": "json"}
    deliver_and_restore(ferry, kafka_server, tmp_path)
    before = stamps(ferry, ftp_server)
    assert 20 == len(before)
    with ferry.context() as ctx:
        found = recover(ctx, NOTHING, verify=True, dry_run=True, who="anna")
        assert (10, 0, ()) == (found.files, found.parts, found.strange)
        look_again(ctx)
        carry(ctx)
        assert 10 == delivered(ctx)
    assert before == stamps(ferry, ftp_server)


def test_a_missing_or_short_file_is_sent_again(restored, ftp_server):
    paths = sorted(folder(restored, ftp_server).rglob("record_*"))
    whole = {path: path.read_bytes() for path in paths}
    paths[0].unlink()
    paths[1].write_bytes(b"short")
    paths[9].write_bytes(b"short")
    with restored.context() as ctx:
        look_again(ctx)
        carry(ctx)
    assert whole == {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize("verify", [False, True])
def test_only_reading_back_finds_other_bytes_of_the_same_length(restored, ftp_server, verify):
    paths = sorted(folder(restored, ftp_server).rglob("record_*"))
    whole = {path: path.read_bytes() for path in paths}
    for path in (paths[0], paths[9]):
        path.write_bytes(b"x" * len(whole[path]))
    with restored.context() as ctx:
        recover(ctx, NOTHING, verify=verify, dry_run=False, who="anna")
        carry(ctx)
    assert verify == (whole == {path: path.read_bytes() for path in paths})


def test_a_dry_run_changes_nothing(restored, ftp_server):
    (folder(restored, ftp_server) / ".half.e-1-1-0.part").write_bytes(b"half")
    (folder(restored, ftp_server) / "somebody's.txt").write_bytes(b"else")
    with restored.context() as ctx:
        found = recover(ctx, NOTHING, verify=False, dry_run=True, who="anna")
        assert (11, 1, 1) == (found.files, found.parts, len(found.strange))
        assert 10 == sum(one.seen for one in found.partitions)
        with pytest.raises(LedgerOutdated):
            steps.plan(ctx)


def test_nobody_recovers_under_somebody_at_work(ferry, kafka_server, ftp_server):
    produce(ferry, kafka_server, 0, 5)
    folder(ferry, ftp_server).mkdir()
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        token = ctx.ledger.claim(batch, owner="bert", lease_seconds=60).token
        with pytest.raises(LedgerConflict, match="worked on by bert"):
            look_again(ctx)
        ctx.ledger.release(token)
        look_again(ctx)


def test_names_that_do_not_tell_are_refused_in_so_many_words(ferry, kafka_server):
    ferry.content["deliver"]["name"] = "{partition}/{stem}_{offset:020d}{suffix}"
    with ferry.context() as ctx:
        world.observe(ctx)
        with pytest.raises(ConfigError, match="file's own name must hold"):
            look_again(ctx)


def test_a_base_that_is_not_there_is_no_empty_one(ferry, kafka_server):
    with ferry.context() as ctx:
        world.observe(ctx)
        with pytest.raises(FtpUnavailable, match="base folder"):
            look_again(ctx)


def test_what_kafka_no_longer_holds_is_told_and_becomes_a_gap(restored, kafka_server, ftp_server):
    before = stamps(restored, ftp_server)
    kafka_server.delete_records(restored.content["kafka"]["topic"], {0: 7})
    with restored.context() as ctx:
        assert 7 == look_again(ctx).partitions[0].expired
        steps.plan(ctx)
        [gap] = ctx.ledger.gaps(ctx.pipeline)
    assert (5, 7) == (gap.start, gap.end)
    assert before == stamps(restored, ftp_server)
