"""What the demo's end says: this round's figures, and what is late, missing or in quarantine."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer
from rich.console import Console

from frameferry.demo.account import Account, account, answered, is_carried
from frameferry.demo.pictures import DemoPicture
from frameferry.demo.report import all_well, show_accounts
from frameferry.demo.run import _Pictures, _Round, facts
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up
from frameferry.stack import airflow


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    return bench(tmp_path, topic=kafka_server.create_topic(), kafka=kafka_server, ftp=ftp_server)


@pytest.fixture
def ctx(ferry: FerryBench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setenv("FRAMEFERRY_HOME", str(ferry.folder))
    with ferry.context() as opened:
        yield opened


def drawn(ctx: Context, round_number: int) -> list[DemoPicture]:
    """Six good pictures and an empty one, which is quarantined, a round."""
    values = [b"round %d, picture %d" % (round_number, n) for n in range(6)]
    good = [DemoPicture(ctx.pipeline, 0, None, value, deliverable=True) for value in values]
    return [*good, DemoPicture(ctx.pipeline, 0, None, b"", deliverable=False)]


def send(kafka_server: KafkaServer, ctx: Context, pictures: list[DemoPicture]) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, [picture.value for picture in pictures])


def told(
    ctx: Context, pictures: list[DemoPicture], ftp_server: Any, began: datetime, **how: Any
) -> Account:
    return account(ctx, pictures, ftp_server.root, began=began, **how)


def shown(*accounts: Account) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_accounts(console, accounts, {})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_second_round_in_one_home_tells_its_own_figures(
    ctx: Context, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    """Whatever the first round, or an earlier command of the same round, has done."""
    numbers, firsts = [], []
    for current in (1, 2):
        began = datetime.now(UTC)
        assert current == _Round.current()
        base = _Round.base({ctx.pipeline: ctx.ledger.counts(ctx.pipeline)})
        pictures = _Pictures([p for n in range(1, current + 1) for p in drawn(ctx, n)], current)
        send(kafka_server, ctx, pictures.fresh(ctx.pipeline))
        run_until_caught_up(ctx)
        # A demo that is killed here and run again is still in its round.
        assert current == _Round.current()
        assert base == _Round.base({ctx.pipeline: ctx.ledger.counts(ctx.pipeline)})
        mine = pictures.of(ctx.pipeline)
        assert is_carried(ctx, len(mine))
        earlier = len(mine) - len(pictures.fresh(ctx.pipeline))
        one = told(ctx, mine, ftp_server, began, earlier=earlier, before=base[ctx.pipeline])
        assert all_well([one]), one
        assert 7 == answered(one.counts)
        numbers.append((one.pictures, one.counts.delivered, one.counts.quarantined))
        assert {"empty": 1} == one.counts.reasons
        assert {"unjudged": 6} == {label: n for label, n in one.counts.labels.items() if label}
        assert one.counts.batches >= 1
        firsts.append(one.first_delivered_at)
        assert began - timedelta(seconds=1) <= one.first_delivered_at
        _Round.finish()
    assert [(7, 6, 1)] * 2 == numbers
    assert firsts[0] < firsts[1]
    assert told(ctx, mine, ftp_server, datetime.now(UTC)).first_delivered_at is None


def test_pictures_on_their_way_are_told_from_missing_and_from_quarantined_ones(
    ctx: Context, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    pictures, began = drawn(ctx, 1), datetime.now(UTC)
    send(kafka_server, ctx, pictures)
    # In Kafka, in no batch; Frameferry has not begun.
    one = told(ctx, pictures, ftp_server, began)
    assert "7 pictures are still on their way, not lost: 7 offsets are in Kafka" in one.late[0]
    assert [] == [line for line in one.problems if "missing" in line]
    # In a batch that is not judged, then in one that is not delivered.
    seen = [facts(ctx)]
    [batch] = steps.plan(ctx).batch_ids
    one = told(ctx, pictures, ftp_server, began)
    assert f"batch {batch} is planned, next is infer; nothing blocks them" in one.late[0]
    assert () == one.problems
    assert "Not every picture has arrived yet" in shown(one)
    assert not all_well([one])
    seen.append(facts(ctx))
    steps.infer(ctx, batch)
    one = told(ctx, pictures, ftp_server, began)
    assert f"batch {batch} is judged, next is deliver" in one.late[0]
    seen.append(facts(ctx))
    run_until_caught_up(ctx)
    seen.append(facts(ctx))
    assert 4 == len(set(seen))
    # Carried: what has no file now is missing, and nothing is late.
    assert all_well([told(ctx, pictures, ftp_server, began)])
    folder = ftp_server.root / ctx.settings.deliver.base.strip("/")
    gone = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    gone.unlink()
    one = told(ctx, pictures, ftp_server, began)
    assert () == one.late
    assert f"1 pictures are missing in {folder}: the ledger has their receipts" in one.problems
    assert "NOT every picture is accounted for" in shown(one)
    # A good picture in quarantine is no missing one.
    wrongly = [*pictures[:-1], DemoPicture(ctx.pipeline, 0, None, b"", deliverable=True)]
    one = told(ctx, wrongly, ftp_server, began)
    assert "1 pictures are quarantined and should be delivered" in one.problems
    assert "1 pictures are missing" in " ".join(one.problems)


def test_a_block_is_said_where_pictures_are_late(
    ctx: Context, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    pictures, began = drawn(ctx, 1), datetime.now(UTC)
    send(kafka_server, ctx, pictures)
    steps.plan(ctx)
    ctx.ledger.block(ctx.pipeline, reason="the password is refused", digest=None)
    one = told(ctx, pictures, ftp_server, began)
    assert "see above for what holds them up" in one.late[0]
    assert any("the password is refused" in line for line in one.problems)


def test_tasks_of_airflow_are_counted_from_beside_and_may_be_out_of_reach(tmp_path: Path) -> None:
    assert {} == airflow.task_states(tmp_path)
    folder = tmp_path / "airflow"
    folder.mkdir()
    assert {} == airflow.task_states(tmp_path)
    with closing(sqlite3.connect(folder / "airflow.db")) as database:
        assert {} == airflow.task_states(tmp_path)
        database.execute("CREATE TABLE task_instance (dag_id TEXT, state TEXT)")
        ours = "('ferry__a', 'success'), ('ferry__b', 'success'), ('ferry__b', NULL)"
        database.execute(f"INSERT INTO task_instance VALUES {ours}, ('monitor', 'success')")
        database.commit()
    assert {"success": 2, "none": 1} == airflow.task_states(tmp_path)
