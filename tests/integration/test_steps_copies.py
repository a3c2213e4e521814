"""Replays into another base: copies, beside which all that stands goes on standing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL
from fixtures.poison import Judge

from frameferry.config.connections import FtpConnection
from frameferry.domain.records import ImageRecord, Prediction
from frameferry.domain.selection import Asked
from frameferry.errors import ConfigError
from frameferry.ftp.client import FerryFTP
from frameferry.operations.replay import ReplayPlan, plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.operations.unblock import unblock
from frameferry.pipeline import family
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.sweeping import sweep
from frameferry.pipeline.run import run_until_caught_up

ALL = selected(partition=0, start=0, end=7)
VALUES = [b"a", b"b", b"c", b"torn", b"e", b"f", b"g"]
WHOLE = sorted(value for value in VALUES if value != b"torn")


class Changeable(Judge):
    """Says what it is told to say of all, and quarantines what is marked as torn."""

    label = "good"

    def _row(self, record: ImageRecord) -> Prediction:
        said = super()._row(record)
        if b"torn" in record.value:
            return replace(said, label=None, score=None, reason="truncated", detail="ends early")
        return replace(said, label=self.label)


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    made.content["model"] = {"path": str(MODEL)}
    made.content["batch"] = {"max_records": 4}
    return made


@pytest.fixture
def judge(kafka_server: Any) -> Changeable:
    return Changeable(kafka_server.connection, {})


@pytest.fixture
def ctx(ferry: FerryBench, judge: Changeable, kafka_server: Any) -> Iterator[Context]:
    kafka_server.produce(ferry.content["kafka"]["topic"], VALUES)
    with ferry.context() as opened:
        shipped = replace(opened, judge=judge.judge, control=judge.control)
        run_until_caught_up(shipped)
        yield shipped


@pytest.fixture
def elsewhere(ferry: FerryBench) -> str:
    return f"{ferry.content['deliver']['base']}-copies"


def copied(ctx: Context, into: str, mode: Any = "redeliver", of: Asked = ALL) -> ReplayPlan:
    plan = plan_replay(ctx, of, mode=mode, dry_run=False, who="anna", into=into)
    for batch_id in plan.batch_ids:
        family.carry(ctx, batch_id)
    return plan


def standing(ctx: Context) -> Any:
    """Tell all that is said of what stands."""
    of = ctx.pipeline
    counts = replace(status(ctx).counts, batches=0)
    return ctx.ledger.records(of), ctx.ledger.quarantined(of), counts


def files(ftp_server: Any, base: str) -> list[bytes]:
    return sorted(delivered_files(ftp_server, base).values())


def taken(ftp_server: Any, base: str) -> None:
    """Take all files away, as a consumer does."""
    for path in (ftp_server.root / base.strip("/")).rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("mode", ["redeliver", "reinfer"])
def test_copies_lie_below_the_other_base_and_nothing_else_changes(
    ctx: Context, ftp_server: Any, elsewhere: str, judge: Changeable, mode: str
) -> None:
    before = standing(ctx)
    own = files(ftp_server, ctx.settings.deliver.base)
    judge.label = "bad"
    plan = copied(ctx, f"{elsewhere}/", mode)
    assert elsewhere == plan.into
    assert f"{mode} 0:[0, 7) into {elsewhere}: " in plan.sentence
    assert WHOLE == files(ftp_server, elsewhere)
    assert own == files(ftp_server, ctx.settings.deliver.base) == WHOLE
    assert before == standing(ctx)
    [known] = ctx.ledger.replays(ctx.pipeline)
    assert ("done", elsewhere) == (known.state, known.into)


def test_a_trial_of_another_model_is_compared_and_changes_no_label(
    ctx: Context, elsewhere: str, judge: Changeable
) -> None:
    judge.label = "bad"
    copied(ctx, elsewhere, "reinfer")
    [trial] = ctx.ledger.replays(ctx.pipeline)
    changes = ctx.ledger.replay_changes(ctx.pipeline, trial.id)
    assert {("good", "bad", 6), ("quarantined: truncated", "quarantined: truncated", 1)} == {
        (one.before, one.after, one.records) for one in changes
    }
    # A copy never was what the pipeline said: the next is compared with what stands.
    judge.label = "unsure"
    copied(ctx, f"{elsewhere}-2", "reinfer")
    newest, *_ = ctx.ledger.replays(ctx.pipeline)
    changes = ctx.ledger.replay_changes(ctx.pipeline, newest.id)
    assert ("good", "unsure", 6) in {(one.before, one.after, one.records) for one in changes}


def test_copies_are_made_again_and_a_plain_replay_goes_where_it_always_went(
    ctx: Context, ftp_server: Any, elsewhere: str
) -> None:
    own = ctx.settings.deliver.base
    copied(ctx, elsewhere)
    for base in (own, elsewhere):
        taken(ftp_server, base)
    copied(ctx, elsewhere)
    assert (WHOLE, []) == (files(ftp_server, elsewhere), files(ftp_server, own))
    plan = plan_replay(ctx, ALL, mode="redeliver", dry_run=False, who="anna")
    for batch_id in plan.batch_ids:
        family.carry(ctx, batch_id)
    assert files(ftp_server, own) == WHOLE


class Killed(BaseException):
    """What ends a process that is killed, as far as it sees anything."""


class Dying(FerryFTP):
    """A connection whose process is killed as soon as anything is to be renamed."""

    def write_lines(self, lines: Sequence[str]) -> None:
        if any(line.startswith("RNFR") for line in lines):
            raise Killed
        super().write_lines(lines)


def dying(connection: FtpConnection) -> FerryFTP:
    ftp = Dying(connection)
    ftp.open()
    ftp.log_in()
    return ftp


def in_doubt(ctx: Context) -> int:
    """Count the files of the newest replay that may be there or not."""
    newest, *_ = ctx.ledger.replays(ctx.pipeline)
    tokens = [ctx.ledger.batch(batch_id).token for batch_id in newest.open_batches]
    return sum(len(ctx.ledger.open_intents(token)) for token in tokens)


def test_one_that_was_cut_off_is_taken_up_and_its_parts_are_swept(
    ctx: Context, ftp_server: Any, elsewhere: str
) -> None:
    with pytest.raises(Killed):
        copied(replace(ctx, open_ftp=dying), elsewhere)
    # Judged again on a person's word: what may be a file below the other base is no less so.
    ctx.ledger.block(ctx.pipeline, reason="a person looks", digest=None)
    before = in_doubt(ctx)
    assert unblock(ctx, who="anna", judge_again=True)
    assert before == in_doubt(ctx) != 0
    with pytest.raises(ConfigError, match=f"--mode redeliver --into {elsewhere}"):
        plan_replay(ctx, ALL, mode="redeliver", dry_run=False, who="anna")
    plan = plan_replay(ctx, ALL, mode="redeliver", dry_run=False, who="bert", into=elsewhere)
    assert plan.taken_up == plan.batch_ids != ()
    for batch_id in plan.batch_ids:
        family.carry(ctx, batch_id)
    assert files(ftp_server, elsewhere) == WHOLE
    # What a dead attempt left is swept there as well, whenever anybody sweeps.
    [folder] = {file.parent for file in (ftp_server.root / elsewhere[1:]).rglob("record_*")}
    stale = folder / f".a.jpg.{ctx.ledger.epoch()[:8]}-{plan.batch_ids[0]}-1-1.part"
    stale.write_bytes(b"half")
    swept = sweep(ctx, dry_run=False)
    assert ((), [stale.name]) == (swept.left, [Path(path).name for path in swept.deleted])
    assert not stale.exists()


REFUSED = {
    "copies": "must be an absolute folder",
    "/a/../b": "must be an absolute folder",
    "{base}": "neither may lie in the other",
    "{base}/copies": "neither may lie in the other",
    "/": "neither may lie in the other",
    "/other/deep": "the files of pipeline other lie in /other",
}


def test_a_folder_where_copies_would_be_met_is_refused_before_anything_is_frozen(
    ctx: Context, ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ferry.path.parent
    (folder / "other.yaml").write_text(
        "pipeline: other\nmodel: none\nkafka: {connection: plant_kafka, topic: other}\n"
        "deliver: {connection: archive_ftp, base: /other}\n"
    )
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(folder))
    for asked, said in REFUSED.items():
        into = asked.replace("{base}", ctx.settings.deliver.base)
        with pytest.raises(ConfigError, match=said):
            plan_replay(ctx, ALL, mode="redeliver", dry_run=True, who="anna", into=into)
    assert [] == ctx.ledger.replays(ctx.pipeline)
