"""What lies in quarantine is kept, looked at, judged again and resolved; on a real broker."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL
from fixtures.poison import Judge
from pydantic import ByteSize

from frameferry.domain.keeping import place_of
from frameferry.domain.records import ImageRecord, Prediction
from frameferry.domain.selection import OneRecord, Quarantined
from frameferry.errors import ConfigError, OffsetsLost, RecordChanged
from frameferry.operations.quarantine import look, retry, save
from frameferry.operations.status import status
from frameferry.operations.upkeep import prune_ledger
from frameferry.pipeline import family
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver import keeping
from frameferry.pipeline.run import run_until_caught_up

TORN = b"torn %d " + b"." * 92
HOUR_MS = 3_600_000


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
    topic = kafka_server.create_topic(partitions=2, config={"retention.ms": str(30 * HOUR_MS)})
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    made.content["model"] = {"path": str(MODEL)}
    made.content["quarantine"] = {"keep_bytes": 1000}
    return made


@pytest.fixture
def judge(kafka_server: Any) -> Picky:
    return Picky(kafka_server.connection, {})


@pytest.fixture
def ctx(ferry: FerryBench, judge: Picky, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setenv("FRAMEFERRY_HOME", str(ferry.folder))
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", ferry.url)
    with ferry.context() as opened:
        yield replace(opened, judge=judge.judge, control=judge.control)


def with_room(ctx: Context, keep_bytes: int) -> Context:
    quarantine = ctx.settings.quarantine.model_copy(update={"keep_bytes": ByteSize(keep_bytes)})
    return replace(ctx, settings=ctx.settings.model_copy(update={"quarantine": quarantine}))


def carried(ctx: Context, kafka_server: Any, *values: bytes, age_hours: float = 0) -> None:
    timestamp_ms = round(time.time() * 1000 - age_hours * HOUR_MS)
    kafka_server.produce(ctx.settings.kafka.topic, values, partition=0, timestamp_ms=timestamp_ms)
    run_until_caught_up(ctx)


def copies(ctx: Context) -> dict[int, bytes]:
    folder = keeping.kept_copies_folder(ctx.pipeline)
    files = {place_of(path.name): path for path in folder.glob("*")} if folder.is_dir() else {}
    return {place.offset: files[place].read_bytes() for place in sorted(filter(None, files))}


def test_what_is_quarantined_is_kept_as_it_passes_by_before_kafka_forgets_it(
    ctx: Context, kafka_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_READS", 0)
    carried(ctx, kafka_server, b"whole", TORN % 1, TORN % 2)
    assert {1: TORN % 1, 2: TORN % 2} == copies(ctx)
    assert (2, 2) == (
        ctx.ledger.counts(ctx.pipeline).quarantined,
        ctx.ledger.counts(ctx.pipeline).kept,
    )
    folder = keeping.kept_copies_folder(ctx.pipeline)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert ({0o600}, 0o700) == (modes, stat.S_IMODE(folder.stat().st_mode))
    kafka_server.delete_records(ctx.settings.kafka.topic, {0: 3})
    found = look(ctx, OneRecord(0, 2))
    assert (TORN % 2, "kept copy") == (found.value, found.found_in)
    with pytest.raises(OffsetsLost, match="Kafka holds nothing any more"):
        retry(ctx, Quarantined("truncated"), dry_run=False, who="anna")


def test_without_room_for_all_the_oldest_go_first_and_status_says_so(
    ctx: Context, kafka_server: Any
) -> None:
    small = with_room(ctx, 250)
    carried(small, kafka_server, TORN % 0, TORN % 1)
    assert [0, 1] == list(copies(small))
    assert status(small).healthy
    carried(small, kafka_server, TORN % 2)
    assert [1, 2] == list(copies(small))
    assert 2 == small.ledger.counts(small.pipeline).kept
    [line] = status(small).advice
    assert "1 picture in quarantine has no kept copy" in line
    assert "quarantine.keep_bytes (250 bytes) is used up" in line
    more = with_room(ctx, 1000)
    carried(more, kafka_server, b"whole")
    assert {0: TORN % 0, 1: TORN % 1, 2: TORN % 2} == copies(more)
    assert status(more).healthy


def test_a_folder_that_cannot_be_written_fails_no_batch_and_is_said(
    ctx: Context, kafka_server: Any, ferry: FerryBench
) -> None:
    obstacle = ferry.folder / "quarantine"
    obstacle.write_text("not a folder")
    carried(ctx, kafka_server, TORN % 0, b"whole")
    assert {0: 2, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
    [line] = status(ctx).advice
    assert f"{obstacle / ctx.pipeline} could not be written" in line
    obstacle.unlink()
    carried(ctx, kafka_server, b"whole")
    assert [0] == list(copies(ctx))


def test_other_bytes_than_were_judged_are_not_kept(
    ctx: Context, kafka_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried(with_room(ctx, 0), kafka_server, TORN % 0)
    assert {} == copies(ctx)
    reader = ctx.open_reader

    def other(*arguments: Any, **options: Any) -> Any:
        return [replace(one, value=b"other") for one in reader(*arguments, **options)]

    keeping.Keeper(replace(ctx, open_reader=other)).finish()
    assert {} == copies(ctx)
    with pytest.raises(RecordChanged, match="other bytes than were judged"):
        look(replace(ctx, open_reader=other), OneRecord(0, 0))
    keeping.Keeper(ctx).finish()
    assert [0] == list(copies(ctx))
    folder = keeping.kept_copies_folder(ctx.pipeline)
    [file] = folder.iterdir()
    file.write_bytes(b"rotten")
    assert "Kafka" == look(ctx, OneRecord(0, 0)).found_in


def test_a_copy_outlives_its_resolution_and_goes_when_its_record_is_pruned(
    ctx: Context, kafka_server: Any, tmp_path: Path
) -> None:
    carried(ctx, kafka_server, TORN % 0, TORN % 1)
    ctx.ledger.resolve_quarantined(ctx.pipeline, OneRecord(0, 1), because="a test", who="anna")
    carried(ctx, kafka_server, TORN % 2)
    assert [0, 1, 2] == list(copies(ctx))
    assert TORN % 1 == look(ctx, OneRecord(0, 1)).value
    prune_ledger(older_than_seconds=-1, folder=tmp_path / "exports", who="anna")
    assert [0, 2] == list(copies(ctx))


def test_a_copy_goes_when_its_picture_is_delivered(
    ctx: Context, kafka_server: Any, ftp_server: Any, judge: Picky, ferry: FerryBench
) -> None:
    carried(ctx, kafka_server, TORN % 0, TORN % 1)
    judge.torn = b"torn 1"
    [batch_id] = retry(ctx, OneRecord(0, 0), dry_run=False, who="anna").batch_ids
    family.carry(ctx, batch_id)
    assert [TORN % 0] == list(
        delivered_files(ftp_server, ferry.content["deliver"]["base"]).values()
    )
    assert [1] == list(copies(ctx))
    with pytest.raises(ConfigError, match="record 0:0 is not in quarantine"):
        retry(ctx, OneRecord(0, 0), dry_run=True, who="anna")


def test_an_alarm_comes_before_kafka_forgets_what_is_not_kept(
    ctx: Context, kafka_server: Any
) -> None:
    without = with_room(ctx, 0)
    carried(without, kafka_server, TORN % 0, TORN % 1, age_hours=20)
    [line] = status(without).advice
    assert "2 pictures in quarantine are not kept, and Kafka may forget the first in 10 h" in line
    without.ledger.resolve_quarantined(
        without.pipeline, OneRecord(0, 0), because="a test", who="anna"
    )
    assert "1 picture in quarantine is not kept" in status(without).advice[0]
    carried(ctx, kafka_server, b"whole")
    assert status(ctx).healthy


def test_a_person_looks_saves_and_resolves(
    ctx: Context, kafka_server: Any, ferry: FerryBench, tmp_path: Path
) -> None:
    carried(ctx, kafka_server, TORN % 0)
    shown = ferry.run("quarantine", "show", ferry.name, "--record", "0:0", "--save", str(tmp_path))
    assert 0 == shown.returncode, shown.stderr
    assert "record 0:0: 99 bytes, from its kept copy, sha256 " in shown.stdout
    assert "00000000  74 6f 72 6e 20 30 20 2e" in shown.stdout
    assert "torn 0 ........." in shown.stdout
    assert TORN % 0 == (tmp_path / f"{ferry.name}-0-0").read_bytes()
    with pytest.raises(ConfigError, match="File exists"):
        save(ctx, OneRecord(0, 0), look(ctx, OneRecord(0, 0)), tmp_path)
    told = ferry.run("quarantine", "retry", ferry.name, "--reason", "truncated", "--dry-run")
    assert "dry run: reinfer all quarantined as 'truncated'" in told.stdout
    for words, says in (
        (["--because", "seen"], "neither record nor reason is given"),
        (["--record", "0:0", "--reason", "x", "--because", "seen"], "both a record and a reason"),
        (["--record", "0:0", "--because", " "], "words are needed"),
        (["--record", "0", "--because", "seen"], "'0' is not a record"),
        (["--record", "0:9", "--because", "seen"], "nothing that is open in quarantine matches"),
    ):
        done = ferry.run("quarantine", "resolve", ferry.name, *words)
        assert (1, True) == (done.returncode, says in " ".join(done.stderr.split())), done.stderr
    assert 1 == len(ferry.json("quarantine", ferry.name))
    resolved = ferry.run(
        *("quarantine", "resolve", ferry.name, "--record", "0:0", "--because", "seen")
    )
    assert "1 picture resolved by" in resolved.stdout
    assert [] == ferry.json("quarantine", ferry.name)
    [line] = ferry.json("quarantine", ferry.name, "--all")
    assert "seen" == line["resolved_how"]
    assert "1 quarantined (1 resolved)" in ferry.run("status", ferry.name).stdout
