"""Pictures as plants have them, from Kafka through real Spark workers to the FTP server."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from fixtures.ferry import bench, delivered_files
from fixtures.ftp import FtpHost
from fixtures.judging import MODEL
from fixtures.kafka import KafkaServer
from fixtures.spark import SparkServer
from numpy.typing import NDArray

from frameferry.demo.surfaces import LABELS, picture
from frameferry.pipeline.run import run_once

pytestmark = pytest.mark.timeout(300)

REGION = {"left": 100, "top": 30, "width": 160, "height": 120}


def tiff(pixels: NDArray[np.uint16]) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, compression="deflate", tile=(64, 64), metadata=None)
    return target.getvalue()


def frame(seed: int, label: str) -> bytes:
    """A 12-bit camera's frame: what is to be judged, in the middle of something else."""
    noise = np.random.default_rng(seed).integers(0, 1 << 12, (200, 400, 3), np.uint16)
    surface = np.asarray(picture(seed, label, (160, 120)).convert("RGB")).astype(np.uint16)
    noise[30:150, 100:260] = surface << 4
    return tiff(noise)


def test_a_region_of_deep_tiffs_is_judged_and_odd_ones_are_set_aside(
    tmp_path: Path, kafka_server: KafkaServer, spark_server: SparkServer, ftp_server: FtpHost
) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    card = yaml.safe_load((folder / "card.yaml").read_text())
    (folder / "control" / "good.tif").write_bytes(frame(99, "good"))
    card["control"] = [{"picture": "control/good.tif", "label": "good"}]
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    whole = [frame(number, LABELS[number % len(LABELS)]) for number in range(12)]
    odd = [whole[0][: len(whole[0]) // 2], tiff(np.zeros((90, 90, 3), np.uint16))]
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [*whole, *odd])
    model = {
        "path": str(folder),
        "grey_bits": 12,
        "pictures": {"formats": ["tiff"]},
        "preprocessing": {"region": REGION, "scale": "unit"},
    }
    servers = {"kafka": kafka_server, "ftp": ftp_server, "spark": spark_server}
    ferry = bench(tmp_path, topic=topic, **servers, model=model)
    with ferry.context() as ctx:
        assert 1 == run_once(ctx)
        rows = {row.offset: row for row in ctx.ledger.records(ctx.pipeline)}
        aside = {row.offset: row.reason for row in ctx.ledger.quarantined(ctx.pipeline)}
    right = [rows[number].label == LABELS[number % len(LABELS)] for number in range(12)]
    assert sum(right) >= 11
    sent = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    assert sorted(whole) == sorted(sent.values())
    assert {12: "truncated", 13: "does not fit"} == aside
