"""Images that take whatever judges them with them, on a real Spark server with the real model."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL, surface
from fixtures.poison import forget_backoff
from fixtures.polling import poll
from fixtures.spark import SparkServer, started

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import FrameferryError
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up
from frameferry.pipeline.world import world
from frameferry.stack import ports

pytestmark = pytest.mark.timeout(900)
IMAGES = int(os.environ.get("FRAMEFERRY_POISON_IMAGES", "8"))
POISONED = Path(__file__).parents[1] / "fixtures" / "poisoned"


@dataclass
class Poisoned:
    """A Spark server whose workers heed the marks, and whom somebody starts again when it dies."""

    server: SparkServer
    bad_deployment: Path
    deaths: int = 0

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,))
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _keep(self, over: threading.Event) -> None:
        port = self.server.files.state.server("spark").ports["connect"]
        while not over.wait(0.5):
            if not ports.answers(port):
                self.deaths += 1
                self.server.start()


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    marker = tmp_path_factory.mktemp("deployment") / "is-bad"
    added = {
        "PYTHONPATH": os.pathsep.join([str(POISONED), os.environ.get("PYTHONPATH", "")]),
        "FRAMEFERRY_TEST_DEPLOYMENT_FILE": str(marker),
    }
    with started(tmp_path_factory.mktemp("poisoned-spark"), {}, added) as server:
        yield Poisoned(server, marker)


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any, poisoned: Poisoned) -> FerryBench:
    topic = kafka_server.create_topic()
    made = bench(
        tmp_path,
        topic=topic,
        kafka=kafka_server,
        ftp=ftp_server,
        spark=poisoned.server,
        model={"path": str(MODEL)},
    )
    made.content["spark"] = {"startup_seconds": 120}
    return made


def images(count: int, **marked: int) -> list[bytes]:
    """Pictures, some of them marked: by the mark's name with `_` for `-`, at which offset."""
    made = [surface(number % 20) for number in range(count)]
    for name, offset in marked.items():
        made[offset] += f"#{name.replace('_', '-')}#".encode()
    return made


def carry(ctx: Context, minutes: float = 12) -> list[FrameferryError]:
    """Run as the scheduler does, whatever fails, until all is done."""
    met: list[FrameferryError] = []

    def is_done() -> bool:
        forget_backoff(ctx)
        try:
            for batch_id in steps.plan(ctx).batch_ids:
                run_batch(ctx, batch_id)
        except FrameferryError as error:
            met.append(error)
        state = world.state(ctx)
        return not state.open_batches and not steps.wait(ctx).now

    poll(is_done, "nothing to be open", seconds=minutes * 60)
    return met


def outcome(ferry: FerryBench, ctx: Context, ftp_server: Any) -> tuple[int, list[tuple[int, str]]]:
    files = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    convicted = [(row.offset, row.reason) for row in ctx.ledger.quarantined(ctx.pipeline)]
    return len(files), convicted


def test_one_image_among_many_kills_its_worker(
    ferry: FerryBench, kafka_server: Any, ftp_server: Any
) -> None:
    guilty = IMAGES * 7 // 11
    kafka_server.produce(ferry.content["kafka"]["topic"], images(IMAGES, kills_worker=guilty))
    with ferry.context() as ctx:
        one_batch(ctx, OffsetRange(0, 0, IMAGES))
        carry(ctx)
        assert (IMAGES - 1, [(guilty, "cannot be judged")]) == outcome(ferry, ctx, ftp_server)
        assert {0: IMAGES} == ctx.ledger.committed_offsets(ctx.pipeline)
        levels = (IMAGES - 1).bit_length()
        assert ctx.ledger.counts(ctx.pipeline).batches <= levels + 1
        assert status(ctx).healthy


def test_an_image_never_lets_go(ferry: FerryBench, kafka_server: Any, ftp_server: Any) -> None:
    topic = ferry.content["kafka"]["topic"]
    ferry.content["spark"] = {"startup_seconds": 25}
    kafka_server.produce(topic, images(20))
    with ferry.context() as ctx:
        carry(ctx)
        kafka_server.produce(topic, images(2, never_returns=1))
        one_batch(ctx, OffsetRange(0, 20, 22))
        carry(ctx)
        assert (21, [(21, "cannot be judged")]) == outcome(ferry, ctx, ftp_server)
        [row] = ctx.ledger.quarantined(ctx.pipeline)
        assert "passed its deadline" in row.detail


def test_an_image_eats_all_memory(ferry: FerryBench, kafka_server: Any, ftp_server: Any) -> None:
    kafka_server.produce(ferry.content["kafka"]["topic"], images(2, eats_memory=1))
    with ferry.context() as ctx:
        one_batch(ctx, OffsetRange(0, 0, 2))
        carry(ctx)
        assert (1, [(1, "cannot be judged")]) == outcome(ferry, ctx, ftp_server)


def test_a_module_that_is_missing_on_the_workers_is_nobodys_fault(
    ferry: FerryBench, kafka_server: Any, ftp_server: Any, poisoned: Poisoned
) -> None:
    kafka_server.produce(ferry.content["kafka"]["topic"], images(4))
    poisoned.bad_deployment.touch()
    try:
        with ferry.context() as ctx:
            [only] = steps.plan(ctx).batch_ids
            for _ in range(3):
                with pytest.raises(FrameferryError, match="No module named 'tensorflow_addons'"):
                    steps.infer(ctx, only)
            assert ctx.ledger.batch(only).split_at is None
            assert (0, []) == outcome(ferry, ctx, ftp_server)
            assert any("tensorflow_addons" in line for line in status(ctx).advice)
            poisoned.bad_deployment.unlink()
            run_until_caught_up(ctx, stalled_seconds=300)
            assert (4, []) == outcome(ferry, ctx, ftp_server)
    finally:
        poisoned.bad_deployment.unlink(missing_ok=True)


def test_an_image_kills_the_whole_server_and_the_innocent_beside_it_are_never_charged(
    tmp_path: Path, kafka_server: Any, ftp_server: Any, poisoned: Poisoned, ferry: FerryBench
) -> None:
    """Two pipelines on one Spark server at once; an image of one kills it."""
    topic = kafka_server.create_topic()
    other = bench(
        tmp_path / "other",
        topic=topic,
        kafka=kafka_server,
        ftp=ftp_server,
        spark=poisoned.server,
        model={"path": str(MODEL)},
    )
    other.ledger_url = ferry.url
    kafka_server.produce(topic, images(30))
    kafka_server.produce(ferry.content["kafka"]["topic"], images(2, kills_server=1))
    before = poisoned.deaths
    with ferry.context() as guilty, other.context() as innocent, poisoned.kept_up():
        one_batch(guilty, OffsetRange(0, 0, 2))
        for start in (0, 15):
            one_batch(innocent, OffsetRange(0, start, start + 15))
        beside = threading.Thread(target=carry, args=(innocent,))
        beside.start()
        carry(guilty)
        beside.join()
        assert (1, [(1, "cannot be judged")]) == outcome(ferry, guilty, ftp_server)
        [row] = guilty.ledger.quarantined(guilty.pipeline)
        assert poisoned.server.url in row.detail
        assert (30, []) == outcome(other, innocent, ftp_server)
        rows = innocent.ledger.last_batches(innocent.pipeline, 100)
        assert [0] * 2 == [innocent.ledger.batch(row.id).trouble.charges for row in rows]
    # The pair twice and the image alone twice; what died in company counted against nobody.
    assert 4 <= poisoned.deaths - before <= 6
