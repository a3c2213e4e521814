"""The trigger that waits: it fires once there is work, and lingers for more."""

from __future__ import annotations

import asyncio
import threading

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
    noticed, ask = threading.Event(), wait._readiness

    def asked(pipeline):
        answer = ask(pipeline)
        if answer.now:
            noticed.set()
        return answer

    monkeypatch.setattr(wait, "_readiness", asked)
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
