"""A judge job travels as JSON, reads exactly its ranges, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.spark.frame import ROW_SCHEMA, kafka_source_options, min_partitions
from frameferry.spark.job import JudgeJob, operation_tag
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
        "kafka_options": {"kafka.bootstrap.servers": "k:9092", "kafka.sasl.jaas.config": SECRET},
        "ranges": (OffsetRange(0, 10, 52), OffsetRange(3, 0, 1)),
        "filename_header": "filename",
        "model": ModelSettings(path="s3://models/surface", threshold=0.7, labels=("good", "bad")),
        "batch_id": 12,
        "attempt": 3,
        "generation": 2,
        "name_headers": ("line", "recipe id"),
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


def test_a_job_takes_one_range_a_partition() -> None:
    with pytest.raises(ValueError, match=r"one range a partition; more in \[1\]"):
        job(ranges=(OffsetRange(1, 0, 5), OffsetRange(1, 9, 10)))


def test_a_job_shows_no_secret() -> None:
    assert SECRET not in repr(job())
    assert job().secrets == (SECRET,)


def test_the_tag_names_batch_and_attempt() -> None:
    assert "frameferry-12-3" == operation_tag(12, 3) == job().tag


def test_the_read_is_bounded_exact_and_committed() -> None:
    options = kafka_source_options(job(), cores=2)
    assert json.loads(options["assign"]) == {"press-a.images": [0, 3]}
    assert json.loads(options["startingOffsets"]) == {"press-a.images": {"0": 10, "3": 0}}
    assert json.loads(options["endingOffsets"]) == {"press-a.images": {"0": 52, "3": 1}}
    assert options["kafka.isolation.level"] == "read_committed"
    assert (options["failOnDataLoss"], options["includeHeaders"]) == ("true", "true")


def test_a_connection_may_tune_the_read_but_not_loosen_it() -> None:
    wishes = {"kafka.fetch.max.bytes": "1000", "failOnDataLoss": "false", "assign": "{}"}
    options = kafka_source_options(job(kafka_options=wishes), cores=2)
    assert options["kafka.fetch.max.bytes"] == "1000"
    assert options["failOnDataLoss"] == "true"
    assert json.loads(options["assign"]) == {"press-a.images": [0, 3]}


@pytest.mark.parametrize(
    ("offsets", "cores", "tasks"),
    [(10_000, 2, 6), (10_000, 16, 48), (20, 2, 2), (1, 2, 1), (64, 16, 8)],
)
def test_every_core_gets_two_to_four_tasks_unless_there_is_little_to_do(
    offsets: int, cores: int, tasks: int
) -> None:
    assert tasks == min_partitions(job(ranges=(OffsetRange(0, 5, 5 + offsets),)), cores=cores)


def test_no_partition_goes_without_a_task() -> None:
    ranges = tuple(OffsetRange(partition, 0, 1) for partition in range(7))
    assert min_partitions(job(ranges=ranges), cores=2) == 7


def test_spark_and_arrow_agree_on_the_rows() -> None:
    declared = [column.split() for column in ROW_SCHEMA.split(", ")]
    assert [(f.name, str(f.type)) for f in ROWS] == [(n, ARROW_NAMES[t]) for n, t in declared]
