"""What comes back from Spark is checked before anyone believes it."""

from __future__ import annotations

import socket
import time
from typing import Any

import pyarrow as pa
import pytest

from frameferry.config.connections import KafkaConnection, SparkConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Prediction
from frameferry.errors import ModelMismatch, SparkUnavailable
from frameferry.spark.job import JudgeJob
from frameferry.spark.reach import probe
from frameferry.spark.route import judge, judged
from frameferry.spark.worker import ROWS


def row(partition: int, offset: int, digest: str) -> dict[str, Any]:
    empty = dict.fromkeys(ROWS.names)
    return {
        **empty,
        "partition": partition,
        "offset": offset,
        "timestamp_ms": 17,
        "size_bytes": 3,
        "sha256": "ab" * 32,
        "label": "good",
        "score": 0.75,
        "judge_digest": digest,
        "loading_seconds": 0.001,
        "ready_seconds": 0.5,
        "throttled_seconds": 0.0,
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ROWS)


def test_rows_come_by_partition_and_offset() -> None:
    answer = judged(table(row(1, 5, "d"), row(0, 9, "d"), row(0, 2, "d")), expected="d")
    assert [(p.partition, p.offset) for p in answer.predictions] == [(0, 2), (0, 9), (1, 5)]
    assert Prediction(1, 5, 17, None, 3, "ab" * 32, "good", 0.75) == answer.predictions[-1]
    assert answer.judge_digest == "d"


def test_the_headers_of_a_name_come_with_the_row() -> None:
    held = row(0, 1, "d") | {"headers": [("line", "3"), ("recipe", "불량")]}
    [prediction] = judged(table(held), expected="d").predictions
    assert (("line", "3"), ("recipe", "불량")) == prediction.headers


def test_what_passed_before_the_first_worker_was_ready_counts_as_loading_if_one_had_to() -> None:
    first = row(0, 1, "d") | {"loading_seconds": 0.6, "ready_seconds": 9.5}
    later = row(0, 2, "d") | {"loading_seconds": 0.001, "ready_seconds": 14.0}
    assert 9.5 == judged(table(later, first), expected="d").loading_seconds
    slow = row(0, 3, "d") | {"loading_seconds": 11.0, "ready_seconds": 12.0}
    assert 11.0 == judged(table(first, slow), expected="d").loading_seconds
    assert 0 == judged(table(row(0, 1, "d"), row(0, 2, "d")), expected="d").loading_seconds
    assert 0 == judged(table(), expected="d").loading_seconds


def test_two_models_in_one_batch_are_refused_by_name() -> None:
    with pytest.raises(ModelMismatch, match="two models: d1 and d2"):
        judged(table(row(0, 1, "d2"), row(0, 2, "d1")), expected=None)


def test_another_model_than_lies_here_is_refused_by_name() -> None:
    with pytest.raises(ModelMismatch, match="judged with model d1, but the model here is d2"):
        judged(table(row(0, 1, "d1")), expected="d2")


def test_a_model_that_cannot_be_read_here_is_taken_at_the_workers_word() -> None:
    assert judged(table(row(0, 1, "d1")), expected=None).judge_digest == "d1"


def test_ranges_without_records_still_name_the_model() -> None:
    assert judged(table(), expected="d").judge_digest == "d"


@pytest.mark.parametrize("scheme", ["sc", "spark"])
def test_where_nothing_listens_the_answer_comes_at_once(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
        job = JudgeJob(
            pipeline="p",
            topic="t",
            kafka=KafkaConnection(conn_id="k", options={"bootstrap.servers": "k:9092"}),
            ranges=(OffsetRange(0, 0, 1),),
            filename_header="filename",
            model=ModelSettings(path="/nowhere"),
            batch_id=1,
            attempt=1,
        )
        started = time.monotonic()
        with pytest.raises(SparkUnavailable, match=f"nothing answers at {url}.*stack status"):
            judge(job, SparkConnection(conn_id="s", url=url), deadline_seconds=60)
        assert time.monotonic() - started < 5


def test_one_master_that_answers_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        probe(f"spark://127.0.0.1:1,127.0.0.1:{master.getsockname()[1]}")


@pytest.mark.parametrize("url", ["local[2]", "k8s://https://cluster:6443"])
def test_masters_without_a_port_of_their_own_are_not_asked(url: str) -> None:
    probe(url)
