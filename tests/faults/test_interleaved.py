"""
Two and three processes take turns at random: the promise holds in every schedule.

Each schedule aims at an ordered pair of fenced boundaries that has not met yet: one process stands
before the first while another does the second. What comes before and after is drawn at random.
There are as many schedules as it takes until all pairs have met; `make search` runs more.
`FRAMEFERRY_SEED` draws others, `FRAMEFERRY_SCHEDULES` at least so many of them, and
`FRAMEFERRY_SCHEDULE` runs a printed one again.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Sequence

import pytest
from fixtures.plant import Plant, Process, Site
from fixtures.promise import all_done, promise
from fixtures.turns import ARRIVAL, TIME, Turns, by_schedule, shrink

pytestmark = [
    pytest.mark.usefixtures("small_groups", "quick_retries"),
    pytest.mark.timeout(900),
]
SEED = int(os.environ.get("FRAMEFERRY_SEED", "20261125"))
SCHEDULES = int(os.environ.get("FRAMEFERRY_SCHEDULES", "1"))
MOST_SCHEDULES = SCHEDULES + 100
"""Pairs that were missed are aimed at again."""
MOST_ARRIVALS = 2
SHRINK_TRIES = 40
FENCED = (
    "ledger.add_batch",
    "ledger.claim",
    "ledger.record_predictions",
    "ledger.consignments",
    "ledger.record_intents",
    "ftp.RNTO",
    "ledger.record_receipts",
    "ledger.record_census",
    "ledger.commit",
)
"""What moves the state of a pipeline: each is refused to whom it no longer belongs."""
PAIRS = list(itertools.product(FENCED, FENCED))


def a_plant(site: Site, after: str) -> Plant:
    """Two batches over two partitions, with markers and an aborted record."""
    plant = Plant(site, after=after, max_records=3, max_open=16)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=0)
    plant.produce(1, partition=0)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=1, abort=True)
    plant.produce(1, partition=1)
    return plant


def persist(process: Process) -> None:
    """Run, and run again: the second time goes on where others were in the way."""
    for _ in range(2):
        process.carry()


def keeps(site: Site, actors: int, after: str, choose: Callable[[Turns], str]) -> Turns:
    """Let processes take turns, then let others run to the end; check the promise on the way."""
    plant = a_plant(site, after)
    turns = Turns(plant, [persist] * actors)
    turns.run(choose)
    promise(plant)
    plant.finish()
    all_done(plant)
    return turns


class Meeting:
    """Bring one process before one boundary while another does the other; then draw at random."""

    def __init__(self, pair: tuple[str, str], chance: random.Random) -> None:
        self._first, self._second = pair
        self._chance = chance
        self._stage = 0
        self.drawn: list[str] = []

    def __call__(self, turns: Turns) -> str:
        self.drawn.append(self._choice(turns.waiting))
        return self.drawn[-1]

    def _choice(self, waiting: dict[str, str]) -> str:
        if self._stage == 0 and waiting.get("a") != self._first and "a" in waiting:
            return self._eased("a")
        self._stage = max(self._stage, 1)
        if self._stage == 1 and "b" in waiting:
            self._stage = 2 if waiting["b"] == self._second else 1
            return self._eased("b") if self._stage == 1 else "b"
        return self._eased(self._chance.choice(sorted(waiting)))

    def _eased(self, name: str) -> str:
        """Let leases run out often, so that a second process is let in at all."""
        has_arrived = self.drawn.count(ARRIVAL) >= MOST_ARRIVALS
        return self._chance.choices([name, TIME, ARRIVAL], [80, 15, 0 if has_arrived else 5])[0]


@pytest.mark.parametrize(("actors", "after"), [(2, "kept"), (3, "taken")])
def test_processes_that_take_turns_keep_the_promise(
    sqlite_site: Site, actors: int, after: str, say: Callable[[str], None]
) -> None:
    chance = random.Random(f"{SEED} {actors} {after}")
    distinct: set[tuple[str, ...]] = set()
    met: set[tuple[str, str]] = set()
    while len(distinct) < SCHEDULES or (unmet(met) and len(distinct) < MOST_SCHEDULES):
        meeting = Meeting(chance.choice(unmet(met) or PAIRS), chance)
        try:
            turns = keeps(sqlite_site, actors, after, meeting)
        except AssertionError as error:
            pytest.fail(shrunk(sqlite_site, actors, after, meeting.drawn, error))
        distinct.add(tuple(turns.schedule))
        met |= turns.met
    left = unmet(met)
    say(
        f"seed {SEED}: {len(distinct)} distinct schedules of {actors} processes, files {after}: "
        f"{len(PAIRS) - len(left)} of {len(PAIRS)} ordered pairs of fenced boundaries met"
    )
    assert left == []


def unmet(met: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if pair not in met]


def shrunk(
    site: Site, actors: int, after: str, schedule: Sequence[str], error: AssertionError
) -> str:
    """Say how to see a failure again, by the shortest schedule that was found."""

    def fails(shorter: Sequence[str]) -> bool:
        try:
            keeps(site, actors, after, by_schedule(shorter))
        except AssertionError:
            return True
        return False

    short = shrink(schedule, fails, SHRINK_TRIES) if fails(schedule) else schedule
    again = f"FRAMEFERRY_SCHEDULE='{actors} {after} {''.join(short)}'"
    return f"{error}\n  seed {SEED}; to see it again, run this test with {again}"


def test_a_printed_schedule_runs_again(sqlite_site: Site) -> None:
    """Run the schedule that a failure printed; by default one that a zombie of two is in."""
    told = os.environ.get("FRAMEFERRY_SCHEDULE", "2 kept aaaaaaaaaaaatbbbbbbbbbbbbtaaaabbbb")
    actors, after, schedule = told.split()
    turns = keeps(sqlite_site, int(actors), after, by_schedule(schedule))
    assert turns.schedule[: len(schedule)] == list(schedule)
