"""An audit finds each thing that is not as it should be: one test a way to break the world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.audited import (
    EACH,
    FIRST_MS,
    HOUR_MS,
    PICTURES,
    World,
    delivered,
    examples,
    noted,
    ready,
    wrong,
)
from fixtures.ledgers import fresh_database

from frameferry.domain.audit import Kind
from frameferry.errors import FtpUnavailable, LedgerUnavailable
from frameferry.ftp.listing import RemoteFile
from frameferry.ledger.upkeep.pruning import prune
from frameferry.operations.replay import carry, plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline.run import run_until_caught_up


@pytest.fixture
def world(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> Iterator[World]:
    with delivered(ready(tmp_path, kafka_server, ftp_server), ftp_server.root) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(
    request: pytest.FixtureRequest, tmp_path: Path, kafka_server: Any, ftp_server: Any
) -> Iterator[World]:
    ferry = ready(tmp_path, kafka_server, ftp_server)
    with fresh_database(request, request.param, tmp_path) as url:
        ferry.ledger_url = url
        with delivered(ferry, ftp_server.root) as made:
            yield made


def test_all_is_well_where_nothing_was_broken(on_both: World) -> None:
    report = on_both.audit(sample=100, recount=True)
    assert report.is_well, report.findings
    assert (PICTURES, PICTURES, PICTURES) == (report.records, report.files, report.sampled)
    assert {Kind.recounted: 2} == noted(report)


def test_each_way_in_which_files_are_broken_is_told_from_the_others(on_both: World) -> None:
    on_both.file(0, 1).unlink()
    on_both.file(1, 2).unlink()
    on_both.file(0, 3).write_bytes(b"cut")
    on_both.file(1, 4).write_bytes(b"PICTURE 1:4")
    (on_both.file(0, 0).parent / "7-00009.bin").write_bytes(b"whose?")
    report = on_both.audit(sample=PICTURES)
    assert {Kind.missing: 2, Kind.wrong_size: 1, Kind.wrong_hash: 1, Kind.extra: 1} == wrong(report)
    assert [("0-00001.bin", "0:1", ""), ("1-00002.bin", "1:2", "")] == examples(
        report, Kind.missing
    )
    [(name, place, detail)] = examples(report, Kind.wrong_size)
    assert ("0-00003.bin", "0:3") == (name, place)
    assert "3 bytes there, 11 delivered" == detail
    assert [("1-00004.bin", "1:4")] == [one[:2] for one in examples(report, Kind.wrong_hash)]
    assert [("7-00009.bin", "7:9", "6 bytes")] == examples(report, Kind.extra)


def test_a_file_of_other_bytes_is_found_only_if_it_is_read(world: World) -> None:
    world.file(1, 4).write_bytes(b"PICTURE 1:4")
    assert world.audit().is_well
    assert {Kind.wrong_hash: 1} == wrong(world.audit(sample=PICTURES))


def test_files_that_a_consumer_takes_are_no_losses_and_changed_ones_are(world: World) -> None:
    world.ferry.content["deliver"]["after"] = "taken"
    world.file(0, 0).unlink()
    world.file(0, 3).write_bytes(b"cut")
    with world.ferry.context() as ctx:
        report = World(world.ferry, ctx, world.base).audit()
    assert {Kind.wrong_size: 1} == wrong(report)
    assert {Kind.taken: 1} == noted(report)


def test_whose_a_file_is_that_no_row_explains(world: World) -> None:
    folder = world.file(0, 0).parent
    epoch = world.ctx.ledger.epoch()[:8]
    for name in (
        f".0-00000.bin.{epoch}-1-1-7.part",
        f".0-00000.bin.{epoch}-1-99-7.part",
        ".0-00000.bin.00000000-1-1-7.part",
        "theirs.part",
        "readme.txt",
        "0-00000.bin.json",
        "9-00000.bin.json",
    ):
        (folder / name).write_bytes(b"x")
    report = world.audit()
    assert {Kind.extra: 1} == wrong(report)
    assert [("9-00000.bin.json", "9:0", "1 bytes")] == examples(report, Kind.extra)
    assert {Kind.orphan: 1, Kind.part: 3, Kind.stranger: 1} == noted(report)
    assert {
        "its attempt may be at work",
        "of another ledger, or of this one before a restore",
        "nobody knows whose it is",
    } == {detail for *_, detail in examples(report, Kind.part)}
    world.ferry.content["deliver"]["name"] = "{partition}/{offset:05d}.bin"
    with world.ferry.context() as ctx:
        report = World(world.ferry, ctx, world.base).audit()
    assert {Kind.extra: 2} == wrong(report), "no file's own name tells which record it is"


def test_only_files_of_the_window_are_looked_at_and_only_their_folders_listed(
    world: World,
) -> None:
    for at in (0, 2, 4):
        world.file(0, at).unlink()
    world.file(1, 2).with_name("1-00077.bin").write_bytes(b"x")
    world.file(1, 5).with_name("1-00078.bin").write_bytes(b"x")
    report = world.audit(since_ms=FIRST_MS + HOUR_MS, until_ms=FIRST_MS + 4 * HOUR_MS)
    assert (6, 6) == (report.records, report.files), "three of each partition, less one, one extra"
    assert {Kind.missing: 1, Kind.extra: 1} == wrong(report)
    assert [("0-00002.bin", "0:2", "")] == examples(report, Kind.missing)
    report = world.audit(since_ms=FIRST_MS + 4 * HOUR_MS)
    assert {Kind.missing: 1, Kind.extra: 1} == wrong(report)
    assert {} == wrong(world.audit(until_ms=FIRST_MS))


def test_a_whole_folder_that_is_gone_is_missing_and_not_unlisted(world: World) -> None:
    folder = world.file(0, 2).parent
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    for wished in ({}, {"since_ms": FIRST_MS}):
        assert {Kind.missing: 2} == wrong(world.audit(**wished))


def test_a_base_that_is_gone_is_no_million_losses(world: World) -> None:
    world.base.rename(world.base.with_name("elsewhere"))
    for wished in ({}, {"since_ms": FIRST_MS}):
        with pytest.raises(FtpUnavailable, match="is not there"):
            world.audit(**wished)
    world.base.with_name("elsewhere").rename(world.base)


def test_a_row_that_is_lost_is_found_by_the_census_and_by_kafka(on_both: World) -> None:
    on_both.forget(0, 3)
    report = on_both.audit()
    assert {Kind.miscounted: 1, Kind.unanswered: 1, Kind.extra: 1} == wrong(report)
    [(_, place, detail)] = examples(report, Kind.miscounted)
    assert "0:0" == place
    assert detail.endswith("0:[0, 6): 5 rows of 6 records")
    assert [(None, "0:3", "Kafka holds a record of 11 bytes, without a row")] == examples(
        report, Kind.unanswered
    )
    assert {Kind.miscounted: 1, Kind.extra: 1} == wrong(on_both.audit(with_kafka=False))
    on_both.count_anew(0, 0, 1, 2, 4, 5)
    assert {Kind.unanswered: 1, Kind.extra: 1} == wrong(on_both.audit())
    report = on_both.audit(recount=True)
    assert {Kind.unanswered: 1, Kind.miscounted: 1, Kind.extra: 1} == wrong(report)
    assert "Kafka holds 6 records, 5 were counted" in examples(report, Kind.miscounted)[0][2]


def test_rows_of_other_offsets_than_were_counted_are_found(world: World) -> None:
    world.count_anew(1, 0, 1, 2, 3, 4, 6)
    assert [(None, "1:0", "batch 1, 1:[0, 6): its 6 rows are of other offsets")] == examples(
        world.audit(), Kind.miscounted
    )


def test_offsets_that_no_batch_carried_are_unanswered(world: World) -> None:
    world.change(
        'UPDATE progress SET planned_offset = 9, committed_offset = 8 WHERE "partition" = 0'
    )
    report = world.audit()
    assert 2 == wrong(report)[Kind.unanswered]
    assert [(None, "0:6", "0:[6, 8): in no batch or gap")] == examples(report, Kind.unanswered)
    [(_, _, why)] = examples(report, Kind.not_compared)
    assert "it ends at 6, and was planned up to 9" in why


def test_a_row_without_an_outcome_below_the_committed_offset_is_unanswered(world: World) -> None:
    world.change(
        "UPDATE record SET outcome = NULL, receipt_how = NULL, delivered_at = NULL"
        ' WHERE "partition" = 0 AND "offset" = 2'
    )
    assert [(None, "0:2", "its row has no outcome")] == examples(world.audit(), Kind.unanswered)


def test_markers_and_aborted_records_are_no_answers_that_lack(
    world: World, kafka_server: Any
) -> None:
    topic = world.ctx.settings.kafka.topic
    kafka_server.produce_transaction(topic, [b"a", b"b"], partition=0)
    kafka_server.produce_transaction(topic, [b"c"], partition=0, abort=True)
    kafka_server.produce(topic, [b"d"], partition=0)
    run_until_caught_up(world.ctx)
    report = world.audit(recount=True)
    assert report.is_well, report.findings
    assert 3 == noted(report)[Kind.rowless], "two markers and a record that was aborted"


def test_gaps_and_quarantined_records_are_told_and_are_no_losses(
    world: World, kafka_server: Any
) -> None:
    topic = world.ctx.settings.kafka.topic
    kafka_server.produce(topic, [b"", b"x", b"y"], partition=0)
    kafka_server.produce(topic, [b"lost", b"z"], partition=1)
    kafka_server.delete_records(topic, {1: EACH + 1})
    run_until_caught_up(world.ctx)
    # As of a record that was delivered before the ledger was lost, and that Kafka lost since.
    world.file(1, 0).with_name(f"1-{EACH:05d}.bin").write_bytes(b"lost")
    report = world.audit()
    assert report.is_well, report.findings
    assert {Kind.quarantined: 1, Kind.gap: 1} == noted(report)
    assert [(None, f"0:{EACH}", "")] == examples(report, Kind.quarantined)
    assert [(None, f"1:{EACH}", f"until {EACH + 1}, not accepted yet")] == examples(
        report, Kind.gap
    )


def test_a_file_under_an_older_name_is_explained_by_the_row_that_no_longer_stands(
    world: World,
) -> None:
    world.ferry.content["deliver"]["name"] = "{date}/{minute}/{partition}-{offset:05d}.bin"
    with world.ferry.context() as ctx:
        plan = plan_replay(ctx, selected(record="0:2"), mode="reinfer", dry_run=False, who="anna")
        carry(ctx, plan.batch_ids)
        report = World(world.ferry, ctx, world.base).audit()
    assert (PICTURES, PICTURES + 1) == (report.records, report.files)
    assert report.is_well, report.findings


def test_what_was_pruned_is_explained_by_its_name_and_not_looked_for(world: World) -> None:
    world.file(0, 0).unlink()
    prune(
        world.ctx.ledger._transactions,
        older_than_seconds=0,
        export=lambda *_: "exported",
        who="anna",
    )
    report = world.audit()
    assert (0, PICTURES - 1) == (report.records, report.files)
    assert report.is_well, report.findings
    assert {Kind.pruned: PICTURES} == noted(report)


def test_what_is_delivered_while_an_audit_runs_is_neither_missing_nor_hidden_nor_extra(
    world: World, kafka_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frameferry.operations.audit.leftovers import Leftovers
    from frameferry.operations.audit.showing import Server

    topic = world.ctx.settings.kafka.topic
    listing, sorting = Server.show_all, Leftovers.meet

    def deliver(value: bytes) -> None:
        kafka_server.produce(topic, [value], partition=0, timestamp_ms=FIRST_MS)
        run_until_caught_up(world.ctx)

    def then_delivering(*arguments: Any) -> int:
        number = listing(*arguments)
        deliver(b"after the list")
        return number

    def before_sorting(self: Leftovers, files: Any) -> None:
        deliver(b"after the rows")
        late = world.file(0, EACH + 1)
        path = f"/{world.base.name}/{late.relative_to(world.base)}"
        sorting(self, [*files, RemoteFile(path, late.stat().st_size)])

    monkeypatch.setattr(Server, "show_all", then_delivering)
    monkeypatch.setattr(Leftovers, "meet", before_sorting)
    (world.base / "readme").write_bytes(b"")
    report = world.audit()
    assert report.is_well, report.findings
    assert (PICTURES + 1, PICTURES + 1) == (report.records, report.files)


def test_an_audit_beside_a_prune_does_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frameferry.operations.audit import auditing

    real = auditing.probe

    def pruning(*arguments: Any) -> None:
        prune(
            world.ctx.ledger._transactions,
            older_than_seconds=0,
            export=lambda *_: "exported",
            who="anna",
        )
        real(*arguments)

    monkeypatch.setattr(auditing, "probe", pruning)
    with pytest.raises(LedgerUnavailable, match="pruned while they were audited"):
        world.audit()


def test_files_on_another_server_are_told_and_not_looked_for(world: World) -> None:
    world.ferry.content["deliver"]["base"] = f"{world.ferry.content['deliver']['base']}-2"
    (world.base.parent / f"{world.base.name}-2").mkdir()
    with world.ferry.context() as ctx:
        report = World(world.ferry, ctx, world.base).audit()
    assert report.is_well, report.findings
    assert {Kind.elsewhere: PICTURES} == noted(report)


def test_a_sidecar_that_is_missing_is_found(
    tmp_path: Path, kafka_server: Any, ftp_server: Any
) -> None:
    ferry = ready(tmp_path, kafka_server, ftp_server)
    ferry.content["deliver"]["sidecar"] = "json"
    with delivered(ferry, ftp_server.root) as world:
        assert world.audit().is_well
        file = world.file(0, 1)
        file.with_name(f"{file.name}.json").unlink()
        report = world.audit()
    assert 2 * PICTURES - 1 == report.files
    assert [("0-00001.bin.json", "0:1", "")] == examples(report, Kind.missing)


def test_nothing_is_left_of_an_audit_on_disk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    world.audit()
    assert [] == list((tmp_path / "scratch").iterdir())
