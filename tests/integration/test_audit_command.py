"""The command `audit`: what it prints and writes, how it ends, what it repairs and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fixtures.audited import EACH, PICTURES, World, delivered, ready, wish, wrong
from fixtures.ferry import delivered_files
from fixtures.ledgers import fresh_database
from fixtures.outside import Outside

from frameferry.domain.audit import Kind
from frameferry.errors import ConfigError, KafkaUnavailable
from frameferry.operations.audit import collecting, repairing
from frameferry.operations.audit.auditing import audit
from frameferry.operations.audit.repairing import repair
from frameferry.operations.replay import carry, plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline.run import run_until_caught_up


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(
    request: pytest.FixtureRequest, tmp_path: Path, kafka_server: Any, ftp_server: Any
) -> Iterator[World]:
    ferry = ready(tmp_path, kafka_server, ftp_server)
    with fresh_database(request, request.param, tmp_path) as url:
        ferry.ledger_url = url
        with delivered(ferry, ftp_server.root) as made:
            yield made


@pytest.fixture
def world(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> Iterator[World]:
    with delivered(ready(tmp_path, kafka_server, ftp_server), ftp_server.root) as made:
        yield made


def broken(world: World) -> None:
    world.file(0, 1).unlink()
    world.file(0, 2).unlink()
    world.file(1, 3).write_bytes(b"cut")
    world.file(1, 5).write_bytes(b"PICTURE 1:5")


def test_a_repair_sends_again_what_is_missing_or_wrong_and_the_next_audit_is_clean(
    on_both: World, ftp_server: Any
) -> None:
    ferry = on_both.ferry
    before = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    broken(on_both)
    found = on_both.audited(sample=100)
    assert {Kind.missing: 2, Kind.wrong_size: 1, Kind.wrong_hash: 1} == wrong(found.report)
    said = repair(on_both.ctx, found, reinfer_quarantined=False, dry_run=True, who="anna")
    assert [()] == [one.batch_ids for one in said.replays]
    assert [] == on_both.ctx.ledger.replays(on_both.ctx.pipeline)
    plan = repair(on_both.ctx, found, reinfer_quarantined=False, dry_run=False, who="anna")
    carry(on_both.ctx, plan.batch_ids)
    assert before == delivered_files(ftp_server, ferry.content["deliver"]["base"])
    assert on_both.audit(sample=100).is_well
    with closing(Outside(ferry.url)) as ledger:
        [row] = ledger.of("action", ferry.name)
    assert ("replay", "anna") == (row["what"], row["who"])


def test_the_command_says_what_it_would_send_and_sends_it(world: World) -> None:
    ferry = world.ferry
    broken(world)
    done = ferry.run("audit", ferry.name, "--sample", "100", "--repair", "--dry-run")
    assert 3 == done.returncode, done.stderr
    assert "WRONG missing: 2 files that the ledger has receipts for are not there: /" in done.stdout
    assert "(0:1)" in done.stdout
    assert f"next: To send them again, run: frameferry audit {ferry.name} --repair" in done.stdout
    assert "repair: would send: redeliver 0:[1, 3), 1:[3, 4), 1:[5, 6): 4 records" in done.stdout
    done = ferry.run("audit", ferry.name, "--sample", "100", "--repair", "--json")
    assert 3 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert ["missing", "wrong_size", "wrong_hash"] == [one["kind"] for one in told["findings"]]
    [planned] = told["repairs"]["replays"]
    assert ("redeliver", 4, 1) == (
        planned["mode"],
        planned["records"],
        len(planned["batch_ids"]),
    )
    done = ferry.run("audit", ferry.name, "--sample", "100")
    assert 0 == done.returncode, done.stdout
    assert "12 records and 12 files compared, 12 read back" in done.stdout


def test_a_repair_is_cut_into_pieces_and_has_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "RANGES_OF_REPLAY", 2)
    monkeypatch.setattr(collecting, "REPAIRS_KEPT", 5)
    for at in range(EACH):
        world.file(at % 2, at).unlink()
    found = world.audited()
    plan = repair(world.ctx, found, reinfer_quarantined=False, dry_run=False, who="anna")
    assert [2, 2, 1] == [one.records for one in plan.replays]
    assert (0, 1) == (plan.gone, plan.left)
    carry(world.ctx, plan.batch_ids)
    assert {Kind.missing: 1} == wrong(world.audit())


def test_what_kafka_no_longer_holds_is_not_sent_again_and_said(
    world: World, kafka_server: Any
) -> None:
    broken(world)
    kafka_server.delete_records(world.ctx.settings.kafka.topic, {0: 2})
    plan = repair(world.ctx, world.audited(), reinfer_quarantined=False, dry_run=True, who="anna")
    assert ["0:[2, 3), 1:[3, 4)"] == [one.selection for one in plan.replays]
    assert (1, 0) == (plan.gone, plan.left)
    kafka_server.delete_records(world.ctx.settings.kafka.topic, {0: EACH, 1: EACH})
    done = world.ferry.run("audit", world.ferry.name, "--repair", "--sample", "0")
    assert 3 == done.returncode, done.stderr
    assert "repair: there is nothing to send" in done.stdout
    assert "repair: Kafka no longer holds 3 records of these" in done.stdout


def test_what_is_in_quarantine_is_judged_again_only_if_that_is_asked_for(
    world: World, kafka_server: Any
) -> None:
    kafka_server.produce(world.ctx.settings.kafka.topic, [b""], partition=0)
    run_until_caught_up(world.ctx)
    world.ferry.content["deliver"]["empty"] = "deliver"
    with world.ferry.context() as ctx:
        found = audit(ctx, wish())
        assert found.report.is_well
        plan = repair(ctx, found, reinfer_quarantined=False, dry_run=False, who="anna")
        assert () == plan.replays
        plan = repair(ctx, found, reinfer_quarantined=True, dry_run=False, who="anna")
        assert [("reinfer", "all quarantined as 'empty'", 1)] == [
            (one.mode, one.selection, one.records) for one in plan.replays
        ]
        carry(ctx, plan.batch_ids)
        report = audit(ctx, wish()).report
    assert ((), PICTURES + 1) == (report.findings, report.files)


def test_a_repair_gives_way_to_another_replay_and_what_was_found_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(world)
    plan_replay(world.ctx, selected(record="1:3"), mode="redeliver", dry_run=False, who="ben")
    done = world.ferry.run("audit", world.ferry.name, "--repair")
    assert 1 == done.returncode
    assert "WRONG missing: 2 files" in done.stdout
    assert "is under replay 1" in " ".join(done.stderr.split())
    monkeypatch.setattr(repairing, "RANGES_OF_REPLAY", 1)
    found = world.audited()
    with pytest.raises(ConfigError, match="is under replay 1"):
        repair(world.ctx, found, reinfer_quarantined=False, dry_run=False, who="anna")
    assert 1 == len(world.ctx.ledger.replays(world.ctx.pipeline)), "nothing of it was frozen"


def test_without_kafka_the_rest_is_compared_and_it_is_said(world: World, tmp_path: Path) -> None:
    world.ferry.connections["plant_kafka"]["extra"] = {"bootstrap.servers": "127.0.0.1:1"}
    with world.ferry.context() as ctx:
        away = audit(ctx, wish())
        assert {Kind.not_compared: 1} == wrong(away.report)
        assert (PICTURES, False) == (away.report.files, away.report.with_kafka)
        with pytest.raises(KafkaUnavailable, match="what could be sent again is not known"):
            repair(ctx, away, reinfer_quarantined=False, dry_run=True, who="anna")
    page = tmp_path / "reports" / "audit.html"
    done = world.ferry.run("audit", world.ferry.name, "--without-kafka", "--html", str(page))
    assert 0 == done.returncode, done.stderr
    assert "note  left_out: 1 comparisons were left out, as was asked for: Kafka was" in done.stdout
    assert "all is well" in page.read_text()
    assert [page] == list(page.parent.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "2026-05-01T06:00:00"], "a moment without a zone"),
        (["--repair", "--without-kafka"], "--repair reads Kafka"),
        (["--html", "/proc/none/audit.html"], "/proc/none/audit.html cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    shared: World, arguments: list[str], says: str
) -> None:
    refused(shared, shared.ferry.name, *arguments, says=says)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: Any, kafka_server: Any, ftp_server: Any) -> Iterator[World]:
    """A world that no test changes."""
    ferry = ready(tmp_path_factory.mktemp("shared"), kafka_server, ftp_server)
    with delivered(ferry, ftp_server.root) as made:
        yield made


def refused(world: World, *arguments: str, says: str) -> None:
    done = world.ferry.run("audit", *arguments)
    assert 1 == done.returncode, done.stdout
    assert "Traceback" not in done.stderr
    [line] = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert says in line


def test_a_pipeline_that_nobody_knows_and_one_that_never_ran(
    shared: World, tmp_path: Path, kafka_server: Any, ftp_server: Any
) -> None:
    refused(shared, "press-z", says="press-z")
    never = ready(tmp_path, kafka_server, ftp_server)
    with never.context() as ctx:
        fresh = World(never, ctx, tmp_path)
        refused(fresh, never.name, says="the ledger does not know this pipeline yet")


def test_a_server_that_is_down_is_an_error_as_elsewhere(
    tmp_path: Path, kafka_server: Any, make_ftp: Any
) -> None:
    host = make_ftp()
    with delivered(ready(tmp_path, kafka_server, host), host.root) as world:
        host.stop()
        refused(world, world.ferry.name, says="connect")
        host.start()
