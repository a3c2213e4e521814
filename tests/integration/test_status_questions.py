"""How often `status` and the page ask the ledger: the state once, all figures in one snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fixtures.counting_ledger import counting_ledger
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer

from frameferry.kafka.cluster import Cluster
from frameferry.operations.status import status
from frameferry.page.asking import ask_with
from frameferry.page.survey import Surveyor
from frameferry.pipeline.run import run_until_caught_up

OPENING = 2
"""Opening a ledger reads which schema it has, and whose host's it is."""


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    topic = kafka_server.create_topic(partitions=2)
    kafka_server.produce(topic, [b"%d" % n for n in range(6)])
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    return ferry


def test_one_snapshot_answers_all_that_status_asks(ferry: FerryBench) -> None:
    """There were eight transactions, three of them for the state alone, with 40 statements."""
    with ferry.context() as ctx, counting_ledger() as asked:
        told = status(ctx)
    assert told.healthy, told.advice
    assert told.counts.delivered == 6
    assert asked.transactions == 1
    assert len(asked.statements) == 28
    assert asked.mentioning("planned_offset") == 1


def test_a_partition_that_is_shared_is_no_further_question(ferry: FerryBench) -> None:
    ferry.content["kafka"]["partitions"] = [0, 1]
    with ferry.context() as ctx, counting_ledger() as asked:
        assert status(ctx).unowned_partitions == ()
    assert asked.transactions == 1


def test_what_is_committed_while_it_asks_is_no_older_ledger(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    """The witness has seen more than the snapshot, which is read again before that is said."""
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"late"])
    with ferry.context() as ctx:

        class Busy(Cluster):
            """Another process carries and mirrors a batch between the ledger and the witness."""

            def mirrored(self, *asked: Any) -> dict[int, tuple[int, str]]:
                run_until_caught_up(ctx)
                return super().mirrored(*asked)

        told = status(replace(ctx, open_cluster=Busy))
        assert not any("Nothing runs" in line for line in told.advice), told.advice
        assert told.counts.delivered == 6
        assert status(ctx).counts.delivered == 7


def test_the_page_asks_the_ledger_once_for_all_its_viewers(
    ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There were ten transactions for each pipeline."""
    for name in ("FRAMEFERRY_HOME", "FRAMEFERRY_PIPELINES", "FRAMEFERRY_LEDGER_URL"):
        monkeypatch.setenv(name, ferry.environment()[name])
    surveyor = Surveyor(ask_with(ferry.resolve), fresh_seconds=60)
    with counting_ledger() as asked:
        found = [surveyor.survey() for _ in range(10)]
    (one,) = found[0].pipelines
    assert one.healthy, one.advice
    assert asked.transactions == OPENING + 1
