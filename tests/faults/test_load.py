"""Hundreds of megabytes through one small Spark server, and what happens where memory is short."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import FRAMEFERRY, FerryBench, bench
from fixtures.judging import MODEL, make_job, python_workers, surface
from fixtures.kafka import KafkaServer
from fixtures.polling import poll
from fixtures.processes import command_line
from fixtures.spark import SparkServer, started

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import SparkOutOfMemory
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_until_caught_up
from frameferry.spark.daemon import LIMIT_VARIABLE
from frameferry.spark.route import judge

pytestmark = pytest.mark.timeout(600)

MEGABYTE = 10**6
LOAD = {40 * MEGABYTE: 2, 7 * MEGABYTE: 50, 460_000: 100, 74_000: 900}
"""How many pictures of which size: half a gigabyte."""
HEAP_MB = 512
LIVE_MB = 120
WORKER_MB = 600
CLIENT_MB = 600
"""With both of the largest on their way at once: 355 to 480, as the machine is busy."""
_COLLECTED = re.compile(r"Pause \w+ .*->(\d+)M\(")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SparkServer, Path]]:
    """A server of the default heap that tells what its collector finds alive."""
    home = tmp_path_factory.mktemp("loaded-spark")
    log = home / "gc.log"
    options = f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:gc:file={log}"
    conf = {"spark.driver.memory": f"{HEAP_MB}m", "spark.driver.extraJavaOptions": options}
    with started(home, conf) as server:
        yield server, log


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[SparkServer]:
    """A server whose driver takes few rows at once."""
    with started(tmp_path / "spark", {"spark.driver.maxResultSize": "20k"}) as server:
        yield server


@pytest.fixture
def miserly(tmp_path: Path) -> Iterator[SparkServer]:
    """A server whose driver takes not even one row."""
    with started(tmp_path / "spark", {"spark.driver.maxResultSize": "1k"}) as server:
        yield server


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[SparkServer]:
    """A server whose workers are too large after every task."""
    with started(tmp_path / "spark", {}, {LIMIT_VARIABLE: "1"}) as server:
        yield server


def padded(seed: int, size_bytes: int) -> bytes:
    """A small picture, whole, with bytes behind its end that no decoder reads."""
    picture = surface(seed % 20)
    return picture + random.Random(seed).randbytes(size_bytes - len(picture))


def send_load(kafka: KafkaServer, topic: str) -> int:
    sizes = [size for size, number in LOAD.items() for _ in range(number)]
    random.Random(4711).shuffle(sizes)
    for start in range(0, len(sizes), 50):
        group = sizes[start : start + 50]
        values = [padded(start + number, size) for number, size in enumerate(group)]
        kafka.produce(topic, values, partition=start // 50 % 2)
    return len(sizes)


def carried(ferry: FerryBench) -> int:
    """Run the command line until it has caught up; return its peak memory in MB."""
    ferry.write()
    said = ferry.folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [FRAMEFERRY, "run", ferry.name, "--until-caught-up"],
            env=ferry.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert 0 == process.returncode, said.read_text()[-3000:]
    return used.ru_maxrss >> 10


def peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", status)
    return int(kilobytes) >> 10


def test_half_a_gigabyte_in_all_sizes_goes_through_on_flat_memory(
    tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any, logged: tuple[SparkServer, Path]
) -> None:
    server, log = logged
    topic = kafka_server.create_topic(partitions=2)
    pictures = send_load(kafka_server, topic)
    model = {"path": str(MODEL)}
    ferry = bench(
        tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server, spark=server, model=model
    )
    client_mb = carried(ferry)
    with ferry.context() as ctx:
        counts = ctx.ledger.counts(ctx.pipeline)
        assert (pictures, 0) == (counts.delivered, counts.quarantined)
        rows = ctx.ledger.last_batches(ctx.pipeline, 100)
        assert not any(ctx.ledger.batch(row.id).split_at for row in rows)
    files = [path for path in (ftp_server.root / topic).rglob("*") if path.is_file()]
    delivered = sum(path.stat().st_size for path in files)
    assert sum(size * number for size, number in LOAD.items()) == delivered
    live = [int(found) for found in _COLLECTED.findall(log.read_text())]
    assert max(live) < LIVE_MB
    assert max(map(peak_mb, python_workers(server.pid))) < WORKER_MB
    assert client_mb < CLIENT_MB


def test_rows_that_are_too_many_for_the_driver_cut_the_batch_and_count_against_nobody(
    tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any, tight: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(number % 20) for number in range(200)])
    model = {"path": str(MODEL)}
    ferry = bench(
        tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server, spark=tight, model=model
    )
    with ferry.context() as ctx:
        whole = one_batch(ctx, OffsetRange(0, 0, 200))
        assert "split" == steps.infer(ctx, whole)
        run_until_caught_up(ctx)
        counts = ctx.ledger.counts(ctx.pipeline)
        assert (200, 0) == (counts.delivered, counts.quarantined)
        rows = ctx.ledger.last_batches(ctx.pipeline, 100)
        troubles = [ctx.ledger.batch(row.id).trouble for row in rows]
        assert {(0, 0, 0)} == {(one.failures, one.charges, one.proofs) for one in troubles}


def test_a_driver_that_takes_no_row_at_all_is_named_and_no_picture_is_blamed(
    tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any, miserly: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)] * 2)
    model = {"path": str(MODEL)}
    ferry = bench(
        tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server, spark=miserly, model=model
    )
    with ferry.context() as ctx:
        [both] = steps.plan(ctx).batch_ids
        for _ in range(3):
            with pytest.raises(SparkOutOfMemory, match=r"Raise spark\.driver\.maxResultSize"):
                steps.infer(ctx, both)
        batch = ctx.ledger.batch(both)
        assert (None, 0, 0) == (batch.split_at, batch.trouble.failures, batch.trouble.charges)
        assert 0 == ctx.ledger.counts(ctx.pipeline).quarantined


def test_a_worker_that_grew_too_large_begins_anew_in_its_place(
    kafka_server: KafkaServer, restless: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(number) for number in range(16)])
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 16))
    assert 16 == len(judge(job, restless.connection, deadline_seconds=200).predictions)

    def successors() -> set[int]:
        """While it becomes another program, a process has no command line for a moment."""
        return {pid for pid in python_workers(restless.pid) if last_word(pid).isdigit()}

    poll(successors, "a worker that began anew")
    before = successors()
    again = replace(job, batch_id=2)
    rows = judge(again, restless.connection, deadline_seconds=200).predictions
    assert list(range(16)) == [row.offset for row in rows]
    poll(lambda: before & successors(), "the same process, serving on")


def last_word(pid: int) -> str:
    """What a worker that began anew has as its last word: a number."""
    with suppress(psutil.NoSuchProcess):
        return "".join(command_line(psutil.Process(pid))[-1:])
    return ""
