"""
A process stands still at each of its boundaries in turn, is overtaken by others that run to the
end, and is woken: the promise holds, whatever it still does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures.boundary import Zombie
from fixtures.moments import Moments
from fixtures.plant import Process, Site
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
    for number in moments.before_calls:
        plant = prepare(site, after)
        zombie = Zombie(number)
        zombie.run(plant.process(zombie).carry)
        assert moments.names[number - 1] == zombie.where
        promise(plant)
        plant.finish()
        all_done(plant)
        zombie.wake()
        promise(plant)
        plant.finish()
        all_done(plant)
    say(f"stood still at {len(moments.before_calls)} boundaries of {len(moments.names)}, {after}")
