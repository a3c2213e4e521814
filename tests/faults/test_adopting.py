"""An adoption dies wherever it changed something: it is whole or not there, mirror and all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from fixtures.boundary import Crashed, crash_at
from fixtures.plant import Plant, Process, Site
from fixtures.promise import all_done, look

from frameferry.domain.adoption import Origin
from frameferry.errors import LedgerConflict
from frameferry.operations.adopting.adopt import Decision, adopt
from frameferry.pipeline import steps

pytestmark = [pytest.mark.usefixtures("small_groups", "quick_retries")]
Begin = Callable[[Plant], None]
STARTS, PLANNED_TO, ENDS = {0: 2, 1: 1}, {0: 4, 1: 1}, {0: 6, 1: 3}
WRITES = {"kafka.mirror done", "ledger.adopt done"}
"""What changes the world outside: between them a dead process leaves the same."""
ORIGIN = Origin("the other system", STARTS, PLANNED_TO)


def a_plant(site: Site, begin: Begin) -> Plant:
    plant = Plant(site, max_records=2)
    for partition, count in ENDS.items():
        plant.produce(count, partition=partition)
    begin(plant)
    return plant


def unknown(_: Plant) -> None:
    """Nobody has waited yet."""


def registered(plant: Plant) -> None:
    plant.process().attempt(steps.wait)


def mirrored_beyond(plant: Plant) -> None:
    """It was to begin at the end, found nothing to plan there, and was mirrored."""
    kafka = plant.settings.kafka.model_copy(update={"start": ENDS})
    plant.settings = plant.settings.model_copy(update={"kafka": kafka})
    plant.process().attempt(steps.plan)


FIRST = {unknown: dict.fromkeys(ENDS, 0), registered: dict.fromkeys(ENDS, 0), mirrored_beyond: ENDS}
"""Where the pipeline begins if it is not adopted."""


def adopting(process: Process) -> None:
    adopt(process.ctx, lambda *_: ORIGIN, Decision(carries=True), dry_run=False, who="ada")


def adopted_in_the_end(plant: Plant) -> None:
    """The person gives the command once more; where it was done it says so."""
    with suppress(LedgerConflict):
        adopting(plant.process())


def delivered(plant: Plant) -> list[tuple[int, int]]:
    return sorted((row["partition"], row["offset"]) for row in look(plant).delivered)


def all_from(starts: dict[int, int]) -> list[tuple[int, int]]:
    return [(p, at) for p, start in starts.items() for at in range(start, ENDS[p])]


@pytest.mark.parametrize("begin", FIRST)
@pytest.mark.parametrize("is_given_again", [False, True])
def test_an_adoption_that_dies_anywhere_is_whole_or_not_there(
    sqlite_site: Site, begin: Begin, is_given_again: bool
) -> None:
    whole = a_plant(sqlite_site, begin).process()
    adopting(whole)
    names = whole.boundary.crossings
    moments = [at for at, name in enumerate(names, 1) if name in WRITES]
    for number in moments:
        plant = a_plant(sqlite_site, begin)
        with pytest.raises(Crashed):
            adopting(plant.process(crash_at(number)))
        is_done = "ledger.adopt done" in names[:number]
        assert is_done == (sqlite_site.ledger.adopted(plant.pipeline) is not None)
        if is_given_again:
            adopted_in_the_end(plant)
        plant.finish()
        all_done(plant)
        starts = STARTS if is_done or is_given_again else FIRST[begin]
        assert all_from(starts) == delivered(plant)
        assert ENDS == sqlite_site.ledger.committed_offsets(plant.pipeline)
    assert len(moments) == 3
