"""
A process stands still at each of its boundaries in turn, is overtaken by others that run to the
end, and is woken: the promise holds, whatever it still does.

A boundary is what the process is about to do, and the world that it stands in: to stand twice
before the same in the same world shows nothing new. On PostgreSQL it stands so before each of the
ledger's calls, which alone are done otherwise there, and once before each of the others.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures.boundary import Zombie
from fixtures.moments import Moments
from fixtures.plant import Plant, Process, Site
from fixtures.promise import all_done, promise
from test_crash_anywhere import a_plant, a_plant_after_a_crash

pytestmark = [
    pytest.mark.usefixtures("small_groups", "quick_retries"),
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize(
    ("prepare", "after"), [(a_plant, "kept"), (a_plant_after_a_crash, "taken")]
)
def test_a_zombie_at_any_boundary_keeps_the_promise(
    site: Site, after: str, prepare, say: Callable[[str], None]
) -> None:
    moments = Moments(prepare(site, after), Process.carry)
    places = chosen(moments, is_every_world=site.url.startswith("sqlite"))
    late: set[str] = set()
    for number in places:
        late |= done_late(prepare(site, after), number, moments.names[number - 1])
    calls = {moments.names[number - 1] for number in moments.before_calls}
    assert calls <= late
    say(
        f"stood still before {len(places)} pairs of a call and a world, of "
        f"{len(moments.before_calls)} calls; {len(late)} kinds of calls were done late, {after}"
    )


def chosen(moments: Moments, *, is_every_world: bool) -> list[int]:
    """Choose where to stand still: before each call in each world, or the ledger's alone."""
    places = moments.distinct(moments.before_calls)
    if is_every_world:
        return places
    firsts = {moments.names[at - 1]: at for at in reversed(places)}.values()
    return [at for at in places if moments.names[at - 1].startswith("ledger.") or at in firsts]


def done_late(plant: Plant, number: int, name: str) -> set[str]:
    """Overtake a process that stands still, and wake it; return what it still did."""
    zombie = Zombie(number)
    process = plant.process(zombie)
    zombie.run(process.carry)
    assert name == zombie.where
    promise(plant)
    plant.finish()
    all_done(plant)
    zombie.wake()
    promise(plant)
    plant.finish()
    all_done(plant)
    return {
        crossed for crossed in process.boundary.crossings[number - 1 :] if "done" not in crossed
    }
