"""Classes of somebody's own on a real Spark worker: one without a model, and every bad habit."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import bench, delivered_files
from fixtures.judging import make_job, surface
from fixtures.kafka import KafkaServer
from fixtures.poison import forget_backoff
from fixtures.polling import poll
from fixtures.spark import OWN_JUDGES, SparkServer
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Judged
from frameferry.errors import (
    ControlFailed,
    FrameferryError,
    JudgingFailed,
    JudgingTimedOut,
    ModelMismatch,
)
from frameferry.inference.digest import judge_digest
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_batch
from frameferry.spark.job import ControlJob
from frameferry.spark.route import control, judge

pytestmark = pytest.mark.timeout(300)
SHARPNESS = "judges.sharpness:Judge"
COLD_SECONDS = 250


@pytest.fixture(autouse=True)
def _theirs_is_on_the_path() -> Iterator[None]:
    sys.path.insert(0, str(OWN_JUDGES))
    yield
    sys.path.remove(str(OWN_JUDGES))


@pytest.fixture(scope="module")
def topic(kafka_server: KafkaServer) -> str:
    name = kafka_server.create_topic()
    noise = np.random.default_rng(1).integers(0, 256, (40, 30), dtype=np.uint8)
    kafka_server.produce(name, [png(noise), png(np.full((40, 30), 90, np.uint8)), b"text", b""])
    return name


def png(pixels: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def said(
    kafka: KafkaServer, spark: SparkServer, topic: str, name: str, seconds: float = COLD_SECONDS
) -> Judged:
    """Judge the topic's four records."""
    model = ModelSettings(judge=name)
    job = make_job(kafka, topic, OffsetRange(0, 0, 4), model=model)
    return judge(job, spark.connection, deadline_seconds=seconds)


def test_opencv_judges_without_a_model(
    kafka_server: KafkaServer, spark_server: SparkServer, topic: str
) -> None:
    judged = said(kafka_server, spark_server, topic, SHARPNESS)
    noise, plain, text, empty = judged.predictions
    assert ("sharp", "blurred") == (noise.label, plain.label)
    assert noise.value > 100 > plain.value == 0
    assert '{"size":[30,40]}' == noise.outputs
    assert (None, "no answer", "OpenCV cannot decode it") == (text.label, text.reason, text.detail)
    assert "empty" == empty.reason
    assert judge_digest(ModelSettings(judge=SHARPNESS)) == judged.judge_digest


@pytest.mark.parametrize("name", [SHARPNESS, "wayward:TurnsDown", "wayward:Prints"])
def test_a_sound_class_passes_its_control(
    kafka_server: KafkaServer, spark_server: SparkServer, topic: str, name: str
) -> None:
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 1), model=ModelSettings(judge=name))
    control(ControlJob(job), spark_server.connection, deadline_seconds=COLD_SECONDS)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("wayward:Exits", JudgingFailed, "judge raised SystemExit: 1 (wayward.py, line"),
        ("wayward:ForgetsOne", JudgingFailed, "said 2 verdicts of 3 pictures"),
        ("wayward:SaysText", JudgingFailed, "of picture 1 of 3 it said something of type str"),
        ("wayward:NeedsWeights", ModelMismatch, "load raised FileNotFoundError"),
        ("wayward:Nobody", ModelMismatch, "its classes: Judge, Raises"),
        ("nowhere_at_all:Judge", ModelMismatch, "there is no module nowhere_at_all"),
    ],
)
def test_each_bad_habit_has_one_sentence_that_names_the_class(
    kafka_server: KafkaServer,
    spark_server: SparkServer,
    topic: str,
    name: str,
    error: type[FrameferryError],
    words: str,
) -> None:
    with pytest.raises(error) as caught:
        said(kafka_server, spark_server, topic, name)
    message = str(caught.value)
    assert f"model {name}: model.judge: " in message
    assert words in message
    assert "\n" not in message
    assert caught.value.remedy


def test_one_that_hangs_is_ended_at_the_deadline(
    kafka_server: KafkaServer, spark_server: SparkServer, topic: str
) -> None:
    with pytest.raises(JudgingTimedOut):
        said(kafka_server, spark_server, topic, "wayward:Hangs", seconds=4)
    assert 4 == len(said(kafka_server, spark_server, topic, "wayward:Prints").predictions)


def test_a_class_that_fails_its_own_control_is_the_worlds_trouble(
    kafka_server: KafkaServer, spark_server: SparkServer, topic: str
) -> None:
    model = ModelSettings(judge="wayward:FailsItsControl")
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 1), model=model)
    with pytest.raises(ControlFailed, match="the model says long"):
        control(ControlJob(job), spark_server.connection, deadline_seconds=COLD_SECONDS)


def test_code_that_changed_is_imported_anew_by_workers_that_stay(
    kafka_server: KafkaServer, spark_server: SparkServer, topic: str, tmp_path: Path
) -> None:
    module = OWN_JUDGES / f"changing_{os.getpid()}.py"
    source = (OWN_JUDGES / "wayward.py").read_text()
    try:
        for label in ("long", "lang"):
            module.write_text(source.replace('"long"', f'"{label}"'))
            judged = said(kafka_server, spark_server, topic, f"{module.stem}:Judge")
            assert label == judged.predictions[0].label
    finally:
        module.unlink()


def test_one_picture_at_which_it_raises_is_quarantined_and_its_neighbours_are_delivered(
    kafka_server: KafkaServer, spark_server: SparkServer, ftp_server: Any, tmp_path: Path
) -> None:
    topic = kafka_server.create_topic()
    pictures = [surface(seed) for seed in range(3)]
    pictures[1] += b"#raises#"
    kafka_server.produce(topic, pictures)
    servers = {"kafka": kafka_server, "ftp": ftp_server, "spark": spark_server}
    ferry = bench(tmp_path, topic=topic, **servers, model={"judge": "wayward:Raises"})
    ferry.content["deliver"]["sidecar"] = "json"
    with ferry.context() as ctx:
        one_batch(ctx, OffsetRange(0, 0, 3))

        def is_done() -> bool:
            forget_backoff(ctx)
            try:
                for batch_id in steps.plan(ctx).batch_ids:
                    run_batch(ctx, batch_id)
            except JudgingFailed:
                return False
            return {0: 3} == ctx.ledger.committed_offsets(ctx.pipeline)

        poll(is_done, "the picture to be convicted", seconds=200)
        [convicted] = ctx.ledger.quarantined(ctx.pipeline)
        assert (1, "cannot be judged") == (convicted.offset, convicted.reason)
        assert "wayward.py, line" in convicted.detail
        whole = ctx.ledger.records(ctx.pipeline, offset=2)[0]
        assert ("long", len(pictures[2]), "B") == (whole.label, whole.value, whole.unit)
    files = delivered_files(ftp_server, f"/{topic}")
    assert 2 == sum(not name.endswith(".json") for name in files)
    assert all(b'"unit": "B"' in files[name] for name in files if name.endswith(".json"))
