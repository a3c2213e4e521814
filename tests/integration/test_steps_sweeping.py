"""Parts that dead attempts left: deleted when the ledger gives them up, and never before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files

from frameferry.delivery.parts import part_path, sidecar_part
from frameferry.domain.batch import Batch
from frameferry.domain.records import Consignment
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.sweeping import sweep

VALUES = [f"picture {number}".encode() for number in range(3)]


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, VALUES)
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


def judged(ctx: Context) -> int:
    [batch_id] = steps.plan(ctx).batch_ids
    steps.infer(ctx, batch_id)
    return batch_id


def die_delivering(ctx: Context, batch_id: int) -> tuple[Batch, list[Consignment]]:
    """Claim the batch as an attempt that does nothing more."""
    batch = ctx.ledger.claim(batch_id, owner="a dead attempt", lease_seconds=30)
    due = ctx.ledger.consignments(batch.token)
    ctx.ledger.release(batch.token)
    return batch, due


def leave(ftp: Any, path: str) -> Path:
    file = Path(ftp.root / path.removeprefix("/"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"half a picture")
    return file


def test_the_next_attempt_deletes_what_a_dead_one_left_and_nothing_else(ferry, ftp_server):
    with ferry.context() as ctx:
        batch_id = judged(ctx)
        batch, [row, *_] = die_delivering(ctx, batch_id)
        tag, epoch = batch.part_tag, batch.token.epoch[:8]
        orphans = [
            leave(ftp_server, part_path(row.remote_path, tag, 1)),
            leave(ftp_server, part_path(row.remote_path, tag, 2, style="suffix")),
            leave(ftp_server, part_path(row.remote_path, tag, 3, has_sidecar=True)),
            leave(ftp_server, sidecar_part(part_path(row.remote_path, tag, 3, has_sidecar=True))),
            leave(ftp_server, f"{Path(row.remote_path).parent}/.frameferry-probe.{tag}-4.probe"),
        ]
        strangers = [
            leave(ftp_server, part_path(row.remote_path, f"{epoch}-{batch_id}-99", 1)),
            leave(ftp_server, part_path(row.remote_path, f"{epoch}-{batch_id + 1000}-1", 1)),
            leave(ftp_server, part_path(row.remote_path, f"00000000-{batch_id}-1", 1)),
            leave(ftp_server, f"{Path(row.remote_path).parent}/.somebody-elses.part"),
        ]
        steps.deliver(ctx, batch_id)
        dry = sweep(ctx, dry_run=True)
    assert [] == [path.name for path in orphans if path.exists()]
    assert strangers == [path for path in strangers if path.exists()]
    assert 3 + len(strangers) == len(delivered_files(ftp_server, ferry.content["deliver"]["base"]))
    assert () == dry.deleted
    assert {
        "its attempt may be at work",
        "of no batch of this pipeline",
        "of another ledger, or of this one before a restore",
    } == {reason for _, reason in dry.left}


def test_a_part_under_an_open_intent_stays_until_it_is_settled(ferry, ftp_server):
    ferry.content["deliver"]["sidecar"] = "json"
    with ferry.context() as ctx:
        batch_id = judged(ctx)
        batch, [row, *_] = die_delivering(ctx, batch_id)
        part = part_path(row.remote_path, batch.part_tag, 1, has_sidecar=True)
        named = [leave(ftp_server, part), leave(ftp_server, sidecar_part(part))]
        orphan = leave(ftp_server, part_path(row.remote_path, batch.part_tag, 2))
        ctx.ledger.record_intents(batch.token, [(row.record_id, part)])
        die_delivering(ctx, batch_id)
        told = sweep(ctx, dry_run=True)
        assert orphan.exists()
        assert told == sweep(ctx, dry_run=False)
        assert [False, True, True] == [path.exists() for path in (orphan, *named)]
        assert 1 == len(told.deleted)
        assert {"an open intent names it: the next delivery settles it"} == {
            reason for _, reason in told.left
        }
        steps.deliver(ctx, batch_id)
        assert [] == [path.name for path in named if path.exists()]
        assert 3 == ctx.ledger.counts(ctx.pipeline).delivered


def test_a_picture_that_is_called_like_a_part_is_never_swept(ferry, ftp_server):
    with ferry.context() as ctx:
        batch_id = judged(ctx)
        batch, [row, *_] = die_delivering(ctx, batch_id)
        alike = part_path(row.remote_path, batch.part_tag, 1)
        rename_in_ledger(ctx, row.record_id, alike)
        steps.deliver(ctx, batch_id)
        swept = sweep(ctx, dry_run=False)
    assert alike.rpartition("/")[2] in {
        Path(name).name for name in delivered_files(ftp_server, ferry.content["deliver"]["base"])
    }
    assert ((alike, "it is a picture's final name"),) == swept.left


def rename_in_ledger(ctx: Context, record_id: int, path: str) -> None:
    """Freeze a name that naming gives no more, as an older version might have."""
    from sqlalchemy import text

    from frameferry.ledger.records.names import name_key

    with ctx.ledger._transactions.write() as connection:
        connection.execute(
            text("UPDATE record SET remote_path = :path, name_key = :key WHERE id = :id"),
            {"path": path, "key": name_key(path), "id": record_id},
        )


def test_a_delivery_that_went_well_lists_no_folder(ferry, ftp_server):
    with ferry.context() as ctx:
        steps.deliver(ctx, judged(ctx))
        assert 0 == sweep(ctx, dry_run=False).folders


def test_trouble_with_sweeping_is_none_of_the_delivery(ferry, ftp_server, monkeypatch):
    with ferry.context() as ctx:
        batch_id = judged(ctx)
        die_delivering(ctx, batch_id)
        monkeypatch.setattr(ctx.ledger, "part_fates", _unavailable)
        steps.deliver(ctx, batch_id)
        assert ctx.ledger.batch(batch_id).delivered_at is not None


def _unavailable(*_: Any, **__: Any) -> None:
    from frameferry.errors import LedgerUnavailable

    msg = "down"
    raise LedgerUnavailable(msg)


def test_the_command_deletes_and_says_so(ferry, ftp_server):
    with ferry.context() as ctx:
        batch_id = judged(ctx)
        batch, [row, *_] = die_delivering(ctx, batch_id)
        die_delivering(ctx, batch_id)
        orphan = leave(ftp_server, part_path(row.remote_path, batch.part_tag, 1))
        kept = leave(ftp_server, part_path(row.remote_path, "00000000-1-1", 1))
    told = ferry.json("sweep", ferry.name, "--dry-run")
    assert orphan.exists()
    assert 1 == len(told["deleted"])
    done = ferry.run("sweep", ferry.name)
    assert 0 == done.returncode, done.stderr
    assert "deleted 1 parts in 1 folders; left 1" in done.stdout
    assert "of another ledger" in done.stdout
    assert [False, True] == [orphan.exists(), kept.exists()]
