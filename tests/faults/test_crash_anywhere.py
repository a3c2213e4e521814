"""
A process dies at each of its boundaries in turn, then others run to the end: the promise holds.

The number of boundaries is printed. A crash after the n-th crossing is the same as one before the
next, so all moments at which the world outside may differ are there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from fixtures.boundary import Act, Boundary, Crashed, crash_at
from fixtures.plant import Plant, Site
from fixtures.promise import all_done, promise

pytestmark = pytest.mark.usefixtures("small_groups")
CONSUMERS = ("kept", "taken")
SETTLED_FROM = "ftp.RNTO done"


def a_plant(site: Site, after: str) -> Plant:
    """Four pictures in two partitions, markers and aborted ones between them: one batch."""
    plant = Plant(site, after=after, max_records=20)
    plant.produce(2)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=0)
    plant.log.produce_transaction(plant.topic, plant.pictures(2), partition=1, abort=True)
    plant.produce(1, partition=1)
    return plant


def dies(plant: Plant, act: Act) -> Boundary:
    """Run a process; say whether it died."""
    process = plant.process(act)
    try:
        process.carry()
    except Crashed:
        promise(plant)
    return process.boundary


@pytest.mark.parametrize("after", CONSUMERS)
def test_a_crash_at_any_boundary_keeps_the_promise(
    site: Site, after: str, say: Callable[[str], None]
) -> None:
    for number in count(1):
        plant = a_plant(site, after)
        boundary = dies(plant, crash_at(number))
        plant.finish()
        all_done(plant)
        if not boundary.is_dead:
            break
    assert number > 100
    say(f"crashed at each of {number - 1} boundaries, files {after}")


@pytest.mark.parametrize("after", CONSUMERS)
def test_a_crash_at_any_boundary_after_a_crash_keeps_the_promise(
    site: Site, after: str, say: Callable[[str], None]
) -> None:
    for number in count(1):
        plant = a_plant(site, after)
        assert dies(plant, crash_after(SETTLED_FROM)).is_dead
        plant.pass_time()
        boundary = dies(plant, crash_at(number))
        plant.finish()
        all_done(plant)
        if not boundary.is_dead:
            break
    assert "ledger.withdraw_intents" in boundary.crossings
    say(f"crashed again at each of {number - 1} boundaries of the settling, files {after}")


def crash_after(name: str) -> Act:
    """Let the process die the first time that it comes back from *name*."""

    def act(boundary: Boundary, _: int, crossing: str) -> None:
        if crossing == name:
            boundary.die()

    return act
