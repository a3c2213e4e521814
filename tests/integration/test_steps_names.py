"""What names are made of, and what becomes of records that ask for odd ones: on real servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL

from frameferry.domain.records import Judged, Prediction, sha256_hex
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up
from frameferry.spark.job import JudgeJob

NOON_MS = 1_795_436_100_042
"""2026-11-23 12:15:00.042 UTC."""


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


def produce(ferry: FerryBench, kafka: Any, values: list[bytes | None], *headers: Any) -> None:
    topic = ferry.content["kafka"]["topic"]
    kafka.produce(topic, values, headers=headers or None, timestamp_ms=NOON_MS)


def carried(ferry: FerryBench, ftp: Any, **changes: Any) -> tuple[dict[str, bytes], dict[str, str]]:
    """Run the pipeline; return the files, and the quarantined offsets with their reasons."""
    with ferry.context() as ctx:
        run_until_caught_up(replace(ctx, **changes))
        refused = {str(row.offset): row.reason for row in ctx.ledger.quarantined(ctx.pipeline)}
    return delivered_files(ftp, ferry.content["deliver"]["base"]), refused


def test_a_name_of_time_headers_and_source(ferry, kafka_server, ftp_server):
    ferry.content["deliver"] |= {
        "name": "{header[line]}/{year}/{month}/{timestamp}_{partition}-{offset}_{stem}{suffix}",
        "timezone": "Asia/Seoul",
    }
    line = [("lot", b"9"), ("filename", b"a.JPG"), ("line", "3/도장".encode()), ("line", b"4")]
    produce(ferry, kafka_server, [b"one", b"two"], line, [("filename", b"b.jpg")])
    files, refused = carried(ferry, ftp_server)
    assert {
        "3%2F도장/2026/11/20261123T211500042_0-0_a.jpg": b"one",
        "unset/2026/11/20261123T211500043_0-1_b.jpg": b"two",
    } == files
    assert {} == refused


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("encode", {"a%3Ab_0-0.jpg", "c_0-1.jpg"}),
        ("replace", {"a_b_0-0.jpg", "c_0-1.jpg"}),
        ("hash", {f"{sha256_hex(b'a:b')[:16]}_0-0.jpg", "c_0-1.jpg"}),
        ("reject", {"c_0-1.jpg"}),
    ],
)
def test_what_becomes_of_an_illegal_name(ferry, kafka_server, ftp_server, policy, expected):
    ferry.content["deliver"] |= {
        "name": "{stem}_{partition}-{offset}{suffix}",
        "illegal": policy,
    }
    produce(ferry, kafka_server, [b"1", b"2"], [("filename", b"a:b.jpg")], [("filename", b"c.jpg")])
    files, refused = carried(ferry, ftp_server)
    assert expected == set(files)
    assert ({"0": "illegal name"} if policy == "reject" else {}) == refused


@pytest.mark.parametrize(
    ("policy", "delivered", "refused"),
    [("quarantine", 1, {"0": "empty", "2": "empty"}), ("deliver", 3, {})],
)
def test_what_becomes_of_records_without_bytes(
    ferry, kafka_server, ftp_server, policy, delivered, refused
):
    ferry.content["deliver"]["empty"] = policy
    produce(ferry, kafka_server, [b"", b"picture", None])
    files, quarantined = carried(ferry, ftp_server)
    assert delivered == len(files)
    assert refused == quarantined


@pytest.mark.parametrize(
    ("policy", "labels"), [("quarantine", {"good"}), ("deliver", {"good", "unjudged"})]
)
def test_what_becomes_of_pictures_that_cannot_be_judged(
    ferry, kafka_server, ftp_server, policy, labels
):
    ferry.content["model"] = {"path": str(MODEL), "unjudged": policy}
    ferry.content["deliver"]["name"] = "{label}/{partition}-{offset}"
    produce(ferry, kafka_server, [b"no picture", b"a picture"])
    with ferry.context() as ctx:
        judge = JudgeOfTexts(ctx)
        files, refused = carried(ferry, ftp_server, judge=judge)
    assert labels == {name.split("/")[0] for name in files}
    assert ({"0": "not an image"} if policy == "quarantine" else {}) == refused
    assert b"a picture" == files["good/0-1"]


def test_how_long_the_workers_loaded_is_kept_with_the_batch(ferry, kafka_server):
    ferry.content["model"] = {"path": str(MODEL)}
    produce(ferry, kafka_server, [b"a picture"])
    with ferry.context() as ctx:
        run_until_caught_up(replace(ctx, judge=JudgeOfTexts(ctx, loading_seconds=0.25)))
        known = ctx.ledger.pipeline_state(ctx.pipeline)
    assert [0.25] == [cost.loading_seconds for cost in known.costs]


class JudgeOfTexts:
    """Stands where Spark would: what begins with *a* is good."""

    def __init__(self, ctx: Context, *, loading_seconds: float = 0.0) -> None:
        self._ctx = ctx
        self._loading_seconds = loading_seconds

    def __call__(self, job: JudgeJob, *_: Any, **__: Any) -> Judged:
        rows = [self._row(record) for wanted in job.ranges for record in self._ctx.reader(wanted)]
        return Judged(tuple(rows), "0" * 64, self._loading_seconds)

    def _row(self, record: Any) -> Prediction:
        is_good = record.value.startswith(b"a")
        said = {"label": "good", "score": 1.0} if is_good else {"reason": "not an image"}
        return Prediction(
            record.partition,
            record.offset,
            record.timestamp_ms,
            record.source_name,
            len(record.value),
            sha256_hex(record.value),
            **said,
        )
