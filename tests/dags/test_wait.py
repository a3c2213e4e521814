"""The trigger that waits: it fires once there is work, and lingers for more."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from contextlib import ExitStack

import psutil
import pytest
from fixtures.dying_envoys import DyingEnvoys
from fixtures.polling import poll
from fixtures.processes import is_zombie

LINGER_SECONDS = 2.0


async def first_event(pipeline, linger_seconds):
    from frameferry.orchestration.wait import BacklogTrigger

    return await anext(BacklogTrigger(pipeline, linger_seconds).run())


def test_a_trickle_makes_one_batch(ferry, kafka_server, monkeypatch):
    from frameferry.orchestration import wait
    from frameferry.orchestration.tasks import call_step
    from frameferry.pipeline import steps

    topic = ferry.content["kafka"]["topic"]
    call_step(ferry.name, steps.plan)
    noticed, ask = threading.Event(), wait._readiness_by_envoy

    def asked(pipeline):
        answer = ask(pipeline)
        if answer.now:
            noticed.set()
        return answer

    monkeypatch.setattr(wait, "_readiness_by_envoy", asked)
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.05)

    async def trickle():
        firing = asyncio.create_task(first_event(ferry.name, LINGER_SECONDS))
        await asyncio.to_thread(kafka_server.produce, topic, [b"first"])
        assert await asyncio.to_thread(noticed.wait, 30)
        for number in range(4):
            await asyncio.to_thread(kafka_server.produce, topic, [b"%d" % number], partition=1)
        assert not firing.done()
        return await firing

    assert {} == asyncio.run(trickle()).payload
    planned = call_step(ferry.name, steps.plan)
    assert 1 == len(planned.batch_ids)
    assert planned.sentences[0].startswith("up to 5 records (all there is)")


def test_a_question_that_fails_fires_with_the_reason(ferry, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_PLANT_KAFKA",
        '{"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:1"}}',
    )
    event = asyncio.run(first_event(ferry.name, 0))
    assert "Kafka at 127.0.0.1:1" in event.payload["error"]


@pytest.fixture
def dying(airflow_home, monkeypatch):
    from frameferry.orchestration import wait

    dying = DyingEnvoys()
    monkeypatch.setattr("frameferry.pipeline.envoys.EnvoyCluster", dying)
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.05)
    return dying


def test_a_look_that_loses_its_envoy_loses_no_wake_up(ferry, kafka_server, dying):
    """The triggerer lives; the task says why and is tried again; then the trigger fires."""
    from frameferry.orchestration import wait
    from frameferry.orchestration.tasks import call_step
    from frameferry.pipeline import steps

    topic = ferry.content["kafka"]["topic"]
    call_step(ferry.name, steps.plan)
    kafka_server.produce(topic, [b"first"])
    with ferry.context() as ctx:
        committed = ctx.ledger.committed_offsets(ctx.pipeline)
        asyncio.run(first_event(ferry.name, 0))
        asked = list(dying.asked)
        assert ["view", "mirrored"] == asked
        files = psutil.Process().num_fds()
        for by in (signal.SIGKILL, signal.SIGABRT):
            for at, name in enumerate(asked):
                dying.begin(at, by)
                event = asyncio.run(first_event(ferry.name, 0))
                assert f"ended by signal {by:d}" in event.payload["error"]
                assert f"its question: {name}" in event.payload["error"]
                assert "another one asks again by itself" in event.payload["error"]
                dying.begin()
                assert {} == asyncio.run(first_event(ferry.name, 0)).payload
                assert asked == dying.asked
        assert committed == ctx.ledger.committed_offsets(ctx.pipeline)
        assert 0 == ctx.ledger.counts(ctx.pipeline).batches
    (pid,) = wait._ENVOYS.pids
    assert pid in [child.pid for child in psutil.Process().children()]
    assert not list(filter(is_zombie, psutil.Process().children()))
    assert files >= psutil.Process().num_fds()


def test_cancelled_triggers_give_their_envoys_back_and_the_loop_is_free(
    ferry, kafka_server, monkeypatch
):
    from frameferry.orchestration import wait

    kafka = ferry.connections["plant_kafka"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = {"bootstrap.servers": f"127.0.0.1:{silent.getsockname()[1]}"}
        monkeypatch.setenv("AIRFLOW_CONN_PLANT_KAFKA", as_json(kafka, nobody))

        async def cancelled():
            """Cancel as many as would take all threads that Airflow's triggers share."""
            firing = [asyncio.create_task(first_event(ferry.name, 0)) for _ in range(33)]
            while not is_asked(wait._ENVOYS):  # noqa: ASYNC110 - an envoy rings no event
                await asyncio.sleep(0.05)
            assert 33 == wait._WAITING._count
            began = time.monotonic()
            assert 1 == await asyncio.to_thread(int, 1)
            for one in firing:
                one.cancel()
            assert 33 * [asyncio.CancelledError] == [
                type(answer) for answer in await asyncio.gather(*firing, return_exceptions=True)
            ]
            assert time.monotonic() - began < 3

        asyncio.run(cancelled())
    assert 0 == wait._WAITING._count
    poll(lambda: not is_asked(wait._ENVOYS), "the envoy to come back", seconds=60)
    monkeypatch.setenv("AIRFLOW_CONN_PLANT_KAFKA", as_json(kafka, kafka["extra"]))
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"first"])
    assert {} == asyncio.run(first_event(ferry.name, 0)).payload


def test_many_that_wait_look_less_often_so_that_all_of_them_cost_the_same():
    from frameferry.orchestration.wait import Waiting

    waiting = Waiting()
    for count, seconds in ((1, 3.0), (60, 3.0), (500, 25.0)):
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(waiting.one_more())
            assert seconds == waiting.pause_seconds
    assert 3.0 == waiting.pause_seconds


def is_asked(envoys):
    return any(not envoy.is_free for envoy in envoys._all)


def as_json(connection, extra):
    return json.dumps({**connection, "extra": extra})
