"""The README's taste is typed as it stands, on real servers, and carries pictures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import ROOT, delivered_files
from fixtures.kafka import KafkaServer

pytestmark = pytest.mark.timeout(280)

NEEDED = ("include", "pyproject.toml", "README.md", "LICENSE")
HEAVY = ("tensorflow", "pyspark", "airflow")


def taste(kafka_server: KafkaServer, ftp_server: Any, topic: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- taste -->\n```sh\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    assert block is not None
    ftp = ftp_server.connection
    password = ftp.password.get_secret_value().replace(" ", "%20")
    ours = {
        "python3.11 ": f"{sys.executable} ",
        "kafka.example:9092": kafka_server.bootstrap_servers,
        "user:password@ftp.example:21": f"{ftp.user}:{password}@{ftp.host}:{ftp.port}",
        "press-a.images": topic,
        "base: /press-a": f"base: /{topic}",
    }
    script = block[1]
    for theirs, mine in ours.items():
        assert theirs in script
        script = script.replace(theirs, mine)
    return f"set -e\n{script}"


def test_the_taste_carries_pictures_without_airflow_spark_or_tensorflow(
    tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    for name in (*NEEDED, *(path.name for path in ROOT.glob("requirements*"))):
        place = ROOT / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, tmp_path / name)
    topic = kafka_server.create_topic()
    sent = [b"picture %d" % number for number in range(20)]
    kafka_server.produce(topic, sent)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "FRAMEFERRY"))}
    done = subprocess.run(
        ["bash", "-c", taste(kafka_server, ftp_server, topic)],
        cwd=tmp_path,
        env=plain,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "20" in done.stdout
    assert sorted(sent) == sorted(delivered_files(ftp_server, f"/{topic}").values())
    packages = tmp_path / "taste/lib"
    assert not [name for name in HEAVY for _ in packages.rglob(f"site-packages/{name}")]
    shutil.rmtree(tmp_path / "taste")
