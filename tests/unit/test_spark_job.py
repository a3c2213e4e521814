"""A judge job travels as JSON, is cut into tasks that tile it, and shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frameferry.config.connections import KafkaConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.planning.splitting import total_offsets
from frameferry.spark.frame import ROW_SCHEMA
from frameferry.spark.job import ControlJob, JudgeJob, read_job
from frameferry.spark.shares import FEWEST_OFFSETS, TASK_SECONDS, shares
from frameferry.spark.worker import ROWS

SECRET = "sesame-open"
ARROW_NAMES = {
    "bigint": "int64",
    "double": "double",
    "string": "string",
    "map<string,string>": "map<string, string>",
}


def job(**changes: object) -> JudgeJob:
    fields = {
        "pipeline": "press-a",
        "topic": "press-a.images",
        "kafka": KafkaConnection(
            conn_id="plant", options={"bootstrap.servers": "k:9092", "sasl.password": SECRET}
        ),
        "ranges": (OffsetRange(0, 10, 52), OffsetRange(3, 0, 1)),
        "filename_header": "filename",
        "model": ModelSettings(path="s3://models/surface", threshold=0.7, labels=("good", "bad")),
        "batch_id": 12,
        "attempt": 3,
        "generation": 2,
        "name_headers": ("line", "recipe id"),
        "seconds_per_offset": 0.25,
        "judge_digest": "d" * 64,
        "epoch": "0123abcd-4567",
        "asked_at": 1_796_000_000.25,
    }
    return JudgeJob(**(fields | changes))  # type: ignore[arg-type]


def test_a_job_survives_the_way_through_json() -> None:
    assert job() == JudgeJob.from_json(job().to_json())


def test_a_model_on_this_disk_travels_with_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.keras").touch()
    monkeypatch.chdir(tmp_path)
    there = JudgeJob.from_json(job(model=ModelSettings(path="model.keras")).to_json())
    assert str(tmp_path / "model.keras") == there.model.path


def test_a_job_takes_no_offset_twice() -> None:
    apart = (OffsetRange(1, 9, 10), OffsetRange(1, 0, 5), OffsetRange(0, 0, 5))
    assert apart == job(ranges=apart).ranges
    with pytest.raises(ValueError, match=r"no offset twice, as in 1:\[0, 5\) and 1:\[4, 10\)"):
        job(ranges=(OffsetRange(1, 4, 10), OffsetRange(1, 0, 5)))
    with pytest.raises(ValueError, match="no range"):
        job(ranges=())


def test_a_job_shows_no_secret() -> None:
    assert SECRET not in repr(job())
    assert job().secrets == (SECRET,)


def test_the_tag_names_ledger_batch_and_attempt() -> None:
    assert "frameferry-0123abcd-12-3" == job().tag == job().tag_of(3)
    assert job().tag != job(epoch="another-ledger").tag


def test_a_control_survives_the_way_through_json() -> None:
    assert ControlJob(job()) == read_job(ControlJob(job()).to_json())
    assert job() == read_job(job().to_json())
    assert (job().tag, job().secrets) == (ControlJob(job()).tag, ControlJob(job()).secrets)


@pytest.mark.parametrize(
    ("offsets", "cores", "tasks"),
    [(300, 2, 6), (20, 2, 2), (1, 2, 1), (64, 16, 8), (10_000, 2, 157)],
)
def test_every_core_gets_several_tasks_unless_there_is_little_to_do(
    offsets: int, cores: int, tasks: int
) -> None:
    assert tasks == len(shares([OffsetRange(0, 5, 5 + offsets)], cores=cores))


def test_a_task_takes_no_longer_than_others_can_wait() -> None:
    ranges = [OffsetRange(0, 0, 9000), OffsetRange(1, 0, 1000)]
    (length,) = {total_offsets(share) for share in shares(ranges, cores=2, seconds_per_offset=0.01)}
    assert 200 == length == TASK_SECONDS / 0.01 / 2
    slow = shares(ranges, cores=2, seconds_per_offset=60.0)
    assert {FEWEST_OFFSETS} == {total_offsets(share) for share in slow}


def test_short_ranges_share_a_task() -> None:
    ranges = [OffsetRange(partition, 7, 8) for partition in range(40)]
    assert 5 == len(shares(ranges, cores=2))


@given(
    ranges=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 500)), min_size=1, max_size=9),
    cores=st.integers(1, 64),
    pace=st.none() | st.floats(0.0001, 100),
)
def test_the_shares_tile_the_ranges(
    ranges: list[tuple[int, int]], cores: int, pace: float | None
) -> None:
    wanted = [OffsetRange(number, at, at + size) for number, (at, size) in enumerate(ranges)]
    cut = shares(wanted, cores=cores, seconds_per_offset=pace)
    met = [(one.partition, offset) for share in cut for one in share for offset in offsets(one)]
    assert [(one.partition, offset) for one in wanted for offset in offsets(one)] == met
    lengths = [total_offsets(share) for share in cut]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


def offsets(one: OffsetRange) -> range:
    return range(one.start, one.end)


def test_spark_and_arrow_agree_on_the_rows() -> None:
    declared = [column.split() for column in ROW_SCHEMA.split(", ")]
    assert [(f.name, str(f.type)) for f in ROWS] == [(n, ARROW_NAMES[t]) for n, t in declared]
