"""How often a step asks the ledger, and whoever resolves connections: Airflow's supervisor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer
from sqlalchemy import event

from frameferry.config.connections import RawConnection
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context

pytestmark = pytest.mark.timeout(120)

KAFKA, FTP = {"plant_kafka": 1}, {"archive_ftp": 1}
ASKED = {
    # Transactions of the ledger, and how often each connection is resolved.
    "first wait": (4, KAFKA),
    "plan": (6, KAFKA),
    "infer": (8, KAFKA | FTP),
    "deliver": (18, KAFKA | FTP),
    "commit": (2, {}),
    "publish": (4, KAFKA),
    "wait": (3, KAFKA),
    "wait again": (1, KAFKA),
}


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    return bench(tmp_path, topic=kafka_server.create_topic(), kafka=kafka_server, ftp=ftp_server)


def asked_by(ctx: Context, step: Callable[[Context], Any]) -> tuple[int, dict[str, int], Any]:
    """Do a step, and count the transactions it begins and the connections it has resolved."""
    transactions: list[object] = []
    resolved: Counter[str] = Counter()

    def resolve(conn_id: str) -> RawConnection:
        resolved[conn_id] += 1
        return ctx.resolve(conn_id)

    def begun(connection: object) -> None:
        transactions.append(connection)

    engine = ctx.ledger._transactions._engine
    event.listen(engine, "begin", begun)
    try:
        result = step(replace(ctx, resolve=resolve))
    finally:
        event.remove(engine, "begin", begun)
    return len(transactions), dict(resolved), result


def test_no_step_asks_more_often_than_it_must(ferry: FerryBench, kafka_server: KafkaServer) -> None:
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"one", b"two"])
    asked: dict[str, tuple[int, dict[str, int]]] = {}
    with ferry.context() as ctx:

        def note(name: str, step: Callable[[Context], Any]) -> Any:
            *counted, result = asked_by(ctx, step)
            asked[name] = (counted[0], counted[1])
            return result

        note("first wait", steps.wait)
        [batch] = note("plan", steps.plan).batch_ids
        note("infer", lambda ctx: steps.infer(ctx, batch))
        note("deliver", lambda ctx: steps.deliver(ctx, batch))
        note("commit", lambda ctx: steps.commit(ctx, batch))
        note("publish", steps.publish)
        note("wait", steps.wait)
        note("wait again", steps.wait)
    assert asked == ASKED


def test_a_context_that_outlives_a_step_resolves_its_connections_anew(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    """A credential may have changed meanwhile: a block on it is lifted by the next step."""
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"one"])
    with ferry.context() as ctx:
        resolved: list[str] = []

        def resolve(conn_id: str) -> RawConnection:
            resolved.append(conn_id)
            return ctx.resolve(conn_id)

        outlives = replace(ctx, resolve=resolve)
        for _ in range(2):
            steps.wait(outlives)
        assert ["plant_kafka"] * 2 == resolved
