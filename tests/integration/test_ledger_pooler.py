"""A ledger behind PgBouncer: it works, and leaves no trace in sessions that are others' next."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from fixtures.ledgers import carried, register
from fixtures.pooler import pooler
from fixtures.postgres import PostgresServer

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

SETTINGS = (
    "search_path",
    "TimeZone",
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "default_transaction_isolation",
    "default_transaction_read_only",
)


@pytest.fixture(scope="module")
def pooled(postgres: PostgresServer) -> Iterator[str]:
    """A database behind the pooler that another program uses, too."""
    database = postgres.empty_database()
    with psycopg.connect(database, autocommit=True) as neighbour:
        neighbour.execute("CREATE TABLE public.dag_run (id int)")
    with pooler(postgres) as port:
        yield f"postgresql://postgres@127.0.0.1:{port}/{database.rpartition('/')[2]}"


def settings(url: str) -> set[tuple[str, ...]]:
    """What several transactions, and so the pool's sessions, are set to."""
    seen = set()
    with psycopg.connect(url, prepare_threshold=None) as client:
        for _ in range(12):
            names = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
            seen.add(client.execute(f"SELECT {names}").fetchone())
            client.execute("SELECT count(*) FROM dag_run")
            client.commit()
    return seen


def test_many_clients_at_once_carry_their_batches_through_a_pool_of_few_sessions(
    pooled: str,
) -> None:
    def carry(number: int) -> None:
        name = f"press-{number}"
        with closing(open_ledger(pooled)) as ledger:
            register(ledger, name)
            for start in range(0, 40, 10):
                batch = ledger.add_batch(
                    name,
                    ranges=[OffsetRange(0, start, start + 10)],
                    sentence="a few",
                    config_digest="c" * 64,
                )
                ledger.claim(batch, owner="me", lease_seconds=60)
                assert ledger.pipeline_state(name) is not None

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(carry, range(6)))


def test_a_whole_batch_goes_through(pooled: str) -> None:
    with closing(open_ledger(pooled)) as ledger:
        register(ledger)
        batch = carried(ledger, OffsetRange(0, 0, 5))
        assert ledger.batch(batch.id).delivered_at is not None


def test_no_session_of_the_pool_is_changed_for_others(pooled: str) -> None:
    before = settings(pooled)
    assert 1 == len(before)
    with closing(open_ledger(pooled)) as ledger:
        look_around(ledger)
    assert before == settings(pooled)


def look_around(ledger: Ledger) -> None:
    register(ledger, "neighbour")
    for _ in range(12):
        assert ledger.pipeline_state("neighbour") is not None
