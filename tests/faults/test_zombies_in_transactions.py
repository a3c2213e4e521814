"""
A process stands still within a transaction, before each of its statements in turn, while others run
to the end: on PostgreSQL, whose transactions do not wait for each other unless a lock makes them.

Where the others wait for a lock that it holds, it is woken, as the database's own patience would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from fixtures.boundary import Zombie
from fixtures.counting_ftp import CountingFtp
from fixtures.ledgers import fresh_database
from fixtures.moments import Moments
from fixtures.plant import Plant, Process, Site, open_site, quick_folder
from fixtures.polling import poll
from fixtures.promise import all_done, promise

pytestmark = [pytest.mark.usefixtures("quick_retries"), pytest.mark.timeout(900)]
CALLS = ("ledger.add_batch", "ledger.record_predictions", "ledger.record_intents")
OPENING = "sql SET"
"""Sets what holds for a transaction, and touches no row yet."""
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database() AND :pipeline <> ''"
)


@pytest.fixture(scope="module")
def postgres_site(request: pytest.FixtureRequest, counting: CountingFtp) -> Iterator[Site]:
    with (
        quick_folder() as folder,
        fresh_database(request, "postgresql", folder) as url,
        open_site(url, counting) as opened,
    ):
        yield opened


def a_plant(site: Site) -> Plant:
    plant = Plant(site, max_records=4)
    plant.produce(1)
    return plant


def statements(site: Site) -> list[tuple[int, str]]:
    """Number the statements within the calls that matter, each with its call."""
    plant = a_plant(site)
    with plant.own_ledger() as own:
        names = Moments(plant, Process.carry, ledger=own).names
    calls, found = "", []
    for number, name in enumerate(names, 1):
        calls = name if name.startswith("ledger.") else calls
        if name.startswith("sql ") and name != OPENING and calls in CALLS:
            found.append((number, f"{calls}: {name}"))
    return found


def test_a_zombie_at_any_statement_keeps_the_promise(
    postgres_site: Site, say: Callable[[str], None]
) -> None:
    places = statements(postgres_site)
    waits = sum(keeps(postgres_site, number) for number, _ in places)
    say(f"stood still before {len(places)} statements; {waits} times the others waited for a lock")
    assert len(places) > 10
    assert waits


def test_a_zombie_between_the_fence_and_the_write_holds_the_others_up(postgres_site: Site) -> None:
    mine = [at for at, call in statements(postgres_site) if call.startswith(CALLS[-1])]
    assert keeps(postgres_site, mine[1])


def keeps(site: Site, number: int) -> bool:
    """Let one process stand still, and others overtake it; say whether they had to wait."""
    plant = a_plant(site)
    with plant.own_ledger() as own:
        zombie = Zombie(number)
        zombie.run(plant.process(zombie, ledger=own).carry)
        others = threading.Thread(target=plant.carry_on)
        others.start()
        must_wait = [False]

        def is_settled() -> bool:
            must_wait[0] = bool(site.outside.rows(WAITING, plant.pipeline))
            return must_wait[0] or not others.is_alive()

        poll(is_settled, "the others", every=0.01)
        zombie.wake()
        others.join(60)
    promise(plant)
    plant.finish()
    all_done(plant)
    return must_wait[0]
