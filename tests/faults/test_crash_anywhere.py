"""
A process dies at each of its boundaries in turn, then others run to the end: the promise holds.

Boundaries between which nothing changed outside are one moment, since a dead process leaves the
same world. How many there are of both is printed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures.boundary import Act, Boundary, Crashed, crash_at
from fixtures.moments import Moments
from fixtures.plant import Plant, Process, Site
from fixtures.promise import all_done, promise

pytestmark = [
    pytest.mark.usefixtures("small_groups", "quick_retries"),
    pytest.mark.timeout(900),
]
CONSUMERS = ("kept", "taken")
Say = Callable[[str], None]


def a_plant(site: Site, after: str) -> Plant:
    """Four pictures in two partitions, markers and aborted ones between them: one batch."""
    plant = Plant(site, after=after, max_records=20)
    plant.produce(2)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=0)
    plant.log.produce_transaction(plant.topic, plant.pictures(2), partition=1, abort=True)
    plant.produce(1, partition=1)
    return plant


def a_plant_after_a_crash(site: Site, after: str) -> Plant:
    """The same, with intents open: the first of two renames was done when its process died."""
    plant = a_plant(site, after)
    with pytest.raises(Crashed):
        plant.process(crash_after("ftp.RNTO done")).carry()
    plant.pass_time()
    return plant


@pytest.mark.parametrize("after", CONSUMERS)
@pytest.mark.parametrize("prepare", [a_plant, a_plant_after_a_crash])
def test_a_crash_at_any_boundary_keeps_the_promise(
    site: Site, after: str, prepare: Callable[[Site, str], Plant], say: Say
) -> None:
    moments = Moments(prepare(site, after), Process.carry)
    for number in moments.differing:
        plant = prepare(site, after)
        process = plant.process(crash_at(number))
        with pytest.raises(Crashed):
            process.carry()
        assert moments.names[:number] == process.boundary.crossings
        promise(plant)
        plant.finish()
        all_done(plant)
    assert len(moments.differing) > 15
    say(f"crashed at {len(moments.names)} boundaries in {len(moments.differing)} moments")


def crash_after(name: str) -> Act:
    """Let the process die the first time that it comes back from *name*."""

    def act(boundary: Boundary, _: int, crossing: str) -> None:
        if crossing == name:
            boundary.die()

    return act
