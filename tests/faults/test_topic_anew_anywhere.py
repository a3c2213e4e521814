"""
A topic is deleted and made anew at each boundary of a run, with more records than it had before.

So whatever is read by name and offset may be read from the other topic, between any two looks at
which of them it is. A person accepts it at the end, or at that very moment.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures.boundary import Act, Boundary
from fixtures.moments import Moments
from fixtures.persons import accept_all, accept_topic
from fixtures.plant import Plant, Process, Site
from fixtures.promise import all_done, promise

from frameferry.errors import PredictionsIncomplete, RecordChanged, TopicChanged
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline import steps

pytestmark = [
    pytest.mark.usefixtures("small_groups", "quick_retries"),
    pytest.mark.timeout(900),
]
Say = Callable[[str], None]
Work = Callable[[Process], None]


def fresh(site: Site, **options: object) -> Plant:
    """Five pictures in two partitions, with markers and aborted ones: one batch."""
    plant = Plant(site, max_records=20, **options)
    plant.produce(2)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=0)
    plant.log.produce_transaction(plant.topic, plant.pictures(2), partition=1, abort=True)
    plant.produce(2, partition=1)
    return plant


def carried(site: Site) -> Plant:
    plant = fresh(site)
    plant.finish()
    return plant


def carry(process: Process) -> None:
    process.carry()


def redeliver(process: Process) -> None:
    replay(process, "redeliver")


def reinfer(process: Process) -> None:
    replay(process, "reinfer")


def replay(process: Process, mode: str) -> None:
    span = selected(partition=0, start=0, end=4)
    planned = process.attempt(plan_replay, span, mode=mode, dry_run=False, who="tests")
    for batch_id in planned.batch_ids if planned else ():
        for step in (steps.infer, steps.deliver, steps.commit):
            if not process.succeeds(step, batch_id):
                break


def anew_at(number: int, plant: Plant, *, is_accepted: bool) -> Act:
    """Make the topic anew at the n-th crossing, and let a person accept it, or not yet."""

    def act(_: Boundary, crossing: int, __: str) -> None:
        if crossing == number:
            make_anew(plant)
            if is_accepted:
                accept_topic(plant)

    return act


def make_anew(plant: Plant) -> None:
    """Let the new topic hold records where the old one had none, and none where it had some."""
    plant.log.create_topic(plant.topic, partitions=2)
    plant.produce(9)
    plant.log.produce_transaction(plant.topic, plant.pictures(4), partition=1, abort=True)
    plant.produce(4, partition=1)


@pytest.mark.parametrize("is_accepted", [False, True], ids=["accepted later", "accepted at once"])
@pytest.mark.parametrize(
    ("prepare", "work"), [(fresh, carry), (carried, redeliver), (carried, reinfer)]
)
def test_a_topic_made_anew_at_any_boundary_keeps_the_promise(
    sqlite_site: Site, prepare: Callable[[Site], Plant], work: Work, is_accepted: bool, say: Say
) -> None:
    learnt = Moments(prepare(sqlite_site), work)
    kinds = ("kafka", "judge", "ledger") if is_accepted else ("kafka", "judge")
    every = boundaries(learnt.names, kinds)
    moments = learnt.distinct(every)
    assert len(moments) > 5
    for number in moments:
        plant = prepare(sqlite_site)
        process = plant.process(anew_at(number, plant, is_accepted=is_accepted))
        work(process)
        promise(plant)
        misled = (RecordChanged, PredictionsIncomplete)
        assert not any(isinstance(error, misled) for error in process.errors), process.errors
        if not is_accepted:
            assert tells(plant)
        accept_all(plant)
        all_done(plant)
    say(f"made anew at {len(moments)} pairs of a call and a world, of {len(every)} calls")


def boundaries(names: list[str], kinds: tuple[str, ...]) -> list[int]:
    """
    Number the crossings at which it makes a difference, on the way out.

    To Kafka, and also to the ledger where the ledger changes with the topic; up to the last
    question to Kafka.
    """
    last = max(at for at, name in enumerate(names, 1) if name.startswith("kafka"))
    return [
        at
        for at, name in enumerate(names[:last], 1)
        if name.startswith(kinds) and not name.endswith(" done")
    ]


def tells(plant: Plant) -> bool:
    """Say whether the next one who looks is told that the topic is another."""
    plant.pass_time()
    told = plant.process()
    told.attempt(steps.plan)
    state = plant.site.ledger.pipeline_state(plant.pipeline)
    return any(isinstance(error, TopicChanged) for error in told.errors) or (
        state is None or state.blocked is not None or state.topic_id == topic_id(plant)
    )


def topic_id(plant: Plant) -> str:
    return plant.log.topics[plant.topic].topic_id
