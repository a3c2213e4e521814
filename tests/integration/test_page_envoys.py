"""What kills the process that asks Kafka does not kill the page's, and costs it one answer."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psutil
import pytest
from fixtures.dying_envoys import DyingEnvoys
from fixtures.ferry import bench
from fixtures.polling import poll

from frameferry.config.settings import load_pipeline
from frameferry.domain.status import Backlog, Status
from frameferry.kafka.envoys import Envoys
from frameferry.page import asking
from frameferry.page.survey import Surveyor
from frameferry.pipeline import envoys as by_envoys
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_until_caught_up

ASKED = [
    "view",
    "offsets_at",
    "offsets_at",
    "first_timestamps",
    "first_timestamps",
    "throttled_seconds",
    "mirrored",
]


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> DyingEnvoys:
    dying = DyingEnvoys()
    monkeypatch.setattr(by_envoys, "EnvoyCluster", dying)
    return dying


@pytest.fixture
def envoys() -> Iterator[Envoys]:
    with closing(Envoys()) as envoys:
        yield envoys


def test_a_status_that_loses_its_envoy_says_so_and_the_next_one_is_whole(
    tmp_path, kafka_server, ftp_server, monkeypatch, dying: DyingEnvoys, envoys: Envoys
):
    topic = kafka_server.create_topic()
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    kafka_server.produce(topic, [b"first"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        kafka_server.produce(topic, [b"second"])
        steps.plan(ctx)
        monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", ferry.url)
        hanging = kafka_server.open_transaction(topic, [b"third"])
        ask = asking.ask_with(ferry.resolve, envoys)
        surveyor = Surveyor(
            ask, load=lambda: ({ferry.path: load_pipeline(ferry.path)}, {}), fresh_seconds=0
        )
        poll(lambda: told(surveyor).partitions[0].held_back, "the open transaction")
        dying.begin()
        before, committed = told(surveyor), ctx.ledger.committed_offsets(ctx.pipeline)
        assert ASKED == dying.asked
        files = psutil.Process().num_fds()
        for by in (signal.SIGKILL, signal.SIGABRT):
            for at in range(len(ASKED)):
                dying.begin(at, by)
                lost = " ".join(told(surveyor).advice)
                assert f"ended by signal {by:d}" in lost
                assert f"its question: {ASKED[at]}" in lost
                assert "Nothing is lost; another one asks again by itself" in lost
                dying.begin()
                assert timeless(before) == timeless(told(surveyor))
                assert ASKED == dying.asked
        assert committed == ctx.ledger.committed_offsets(ctx.pipeline)
        assert [p.pid for p in psutil.Process().children()].count(envoys.pids[0]) == 1
        assert 1 == len(envoys.pids)
        assert files == psutil.Process().num_fds()
        hanging.abort_transaction(30)


def told(surveyor: Surveyor) -> Status:
    (one,) = surveyor.survey().pipelines
    assert isinstance(one, Status)
    return one


def timeless(told: Status) -> Status:
    """Leave out what changes from second to second."""
    return replace(told, backlog=Backlog())
