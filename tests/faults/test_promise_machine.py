"""
Whatever happens to the log, to processes and by people's hands, in any order: the promise holds.

`FRAMEFERRY_SEED` draws other stories, `FRAMEFERRY_SCHEDULES` more or fewer of them, and
`FRAMEFERRY_SHRINK=1` makes one that breaks the promise as short as it can be.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fixtures.boundary import Boundary, Crashed, Zombie, crash_at
from fixtures.changing_judge import BROKEN, POISON, Rows
from fixtures.demands import demand
from fixtures.persons import (
    accept_all,
    accept_gaps,
    accept_topic,
    confirm,
    judge_again,
    recover_and_accept,
    restore,
    unblock,
)
from fixtures.plant import NAME, Plant, Site
from fixtures.promise import all_done, promise
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from frameferry.ledger.upkeep.backups import back_up
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline import steps

pytestmark = [pytest.mark.usefixtures("small_groups", "quick_retries"), pytest.mark.timeout(900)]
SEED = int(os.environ.get("FRAMEFERRY_SEED", "20261125"))
STORIES = int(os.environ.get("FRAMEFERRY_SCHEDULES", "20"))
SHRINKS = os.environ.get("FRAMEFERRY_SHRINK") == "1"
"""Whether a story that breaks the promise is made shorter, which takes minutes."""
STEPS = 20
FEWEST_STEPS = 15
PLACE_ONLY = "{stem}_{partition}-{offset:020d}{suffix}"
_numbers = count(1)
MARKS = st.sampled_from(["", "", "", POISON.decode(), BROKEN.decode()])
NUMBERS = st.integers(0, 5)
MOMENTS = st.integers(1, 140)


class Stories(RuleBasedStateMachine):
    """One plant, and everything that can happen to it."""

    site: Site
    folder: Path
    told: Counter[str]

    @initialize(after=st.sampled_from(["kept", "taken"]))
    def begin(self, after: str) -> None:
        self.backups: list[Path] = []
        self.is_restored = False
        # A ledger that forgot the labels must know the files by their places alone.
        name = NAME if after == "taken" else PLACE_ONLY
        self.plant = Plant(self.site, after=after, name=name, max_records=4, max_open=3)
        self.open: list[tuple[int, list[int]]] = []
        self.zombies: list[Zombie] = []
        self.plant.produce(2)

    # The equipment and the broker

    @rule(partition=NUMBERS, count=st.integers(1, 3), mark=MARKS)
    def produce(self, partition: int, count: int, mark: str) -> None:
        self._tell("produce")
        self.plant.produce(count, partition=self._partition(partition), mark=mark)

    @rule(partition=NUMBERS, abort=st.booleans())
    def transaction(self, partition: int, abort: bool) -> None:
        self._tell("abort" if abort else "transaction")
        values = self.plant.pictures(2)
        number = self._partition(partition)
        self.plant.log.produce_transaction(self.plant.topic, values, partition=number, abort=abort)

    @rule(partition=NUMBERS)
    def begin_transaction(self, partition: int) -> None:
        self._tell("open transaction")
        number, topic = self._partition(partition), self.plant.topic
        values = self.plant.pictures(1)
        offsets = self.plant.log.produce(topic, values, partition=number, fate="open")
        self.open.append((number, offsets))

    @precondition(lambda self: self.open)
    @rule(abort=st.booleans())
    def end_transaction(self, abort: bool) -> None:
        self._tell("end transaction")
        number, offsets = self.open.pop()
        self.plant.log.finish(self.plant.topic, number, offsets, abort=abort)

    @rule(partition=NUMBERS, count=st.integers(1, 4))
    def retention(self, partition: int, count: int) -> None:
        self._tell("retention")
        number = self._partition(partition)
        low = self._logs[number].low
        self.plant.log.expire(self.plant.topic, number, low + count)

    @rule(partition=NUMBERS, which=NUMBERS, refill=st.integers(0, 5))
    def truncate(self, partition: int, which: int, refill: int) -> None:
        number = self._partition(partition)
        records = self._logs[number].records()
        if not records:
            return
        self._tell("truncate")
        self.open = [one for one in self.open if one[0] != number]
        end = records[-1 - which % len(records)]
        self.plant.log.truncate(self.plant.topic, number, end)
        self.plant.log.end_all(self.plant.topic, number)
        if refill:
            self.plant.produce(refill, partition=number)

    @rule(count=st.integers(0, 4), is_smaller=st.booleans())
    def recreate(self, count: int, is_smaller: bool) -> None:
        self._tell("re-create")
        self.open = []
        partitions = max(len(self._logs) - is_smaller, 1)
        self.plant.log.create_topic(self.plant.topic, partitions=partitions)
        if count:
            self.plant.produce(count)

    @rule(moment=MOMENTS, count=st.integers(0, 9), is_accepted=st.booleans())
    def recreate_in_a_run(self, moment: int, count: int, is_accepted: bool) -> None:
        """Let it happen between any two things that a run does."""

        def act(_: Boundary, crossing: int, __: str) -> None:
            if crossing == moment:
                self.recreate(count, is_smaller=False)
                if is_accepted:
                    self.accept_topic()

        self.plant.process(act).carry()

    @rule()
    def forget_the_mirror(self) -> None:
        self._tell("mirror forgotten")
        self.plant.log.forget_groups(self.plant.topic)

    @rule(partition=NUMBERS)
    def lead_anew(self, partition: int) -> None:
        self._tell("new leader")
        self._logs[self._partition(partition)].leader_epoch += 1

    @precondition(lambda self: len(self._logs) < 4)
    @rule(low=st.integers(0, 2))
    def add_partition(self, low: int) -> None:
        self._tell("add partition")
        number = self.plant.log.add_partition(self.plant.topic)
        self.plant.produce(low + 1, partition=number)
        self.plant.log.expire(self.plant.topic, number, low)

    # Processes

    @rule()
    def plan(self) -> None:
        self._tell("plan")
        self.plant.process().attempt(steps.plan)

    @rule(which=NUMBERS, step=st.sampled_from([steps.infer, steps.deliver, steps.commit]))
    def one_step(self, which: int, step: Callable[..., Any]) -> None:
        batches = self.plant.open_batches()
        if batches:
            self._tell(step.__name__)
            self.plant.process().attempt(step, batches[which % len(batches)])

    @rule()
    def carry(self) -> None:
        self._tell("carry")
        self.plant.process().carry()
        # As often as a night passes: so that there is something to restore.
        self.back_up()

    @precondition(lambda self: not self.is_restored)
    @rule()
    def run_to_the_end(self) -> None:
        self._tell("run to the end")
        self.plant.finish()

    @rule(moment=MOMENTS)
    def crash(self, moment: int) -> None:
        try:
            self.plant.process(crash_at(moment)).carry()
        except Crashed:
            self._tell("crash")

    @precondition(lambda self: len(self.zombies) < 2)
    @rule(moment=MOMENTS)
    def stand_still(self, moment: int) -> None:
        zombie = Zombie(moment)
        zombie.run(self.plant.process(zombie).carry)
        if zombie.where:
            self._tell("zombie")
            self.zombies.append(zombie)

    @precondition(lambda self: self.zombies)
    @rule()
    def wake(self) -> None:
        self._tell("wake")
        self.zombies.pop(0).wake()

    @rule()
    def pass_time(self) -> None:
        self._tell("time")
        self.plant.pass_time()

    # People

    @rule(partition=NUMBERS, mode=st.sampled_from(["redeliver", "reinfer"]))
    def replay(self, partition: int, mode: Any) -> None:
        number = self._partition(partition)
        place = self.plant.site.ledger.committed_offsets(self.plant.pipeline).get(number, 0)
        if place:
            self._tell(f"replay, {mode}")
            span = selected(partition=number, start=max(0, place - 3), end=place)
            options = {"mode": mode, "dry_run": False, "who": "tests"}
            self.plant.process().attempt(plan_replay, span, **options)

    @rule()
    def accept_gaps(self) -> None:
        if accept_gaps(self.plant):
            self._tell("accept gaps")

    @rule()
    def accept_topic(self) -> None:
        if accept_topic(self.plant):
            self._tell("accept topic")

    def back_up(self) -> None:
        self.backups.append(self.folder / f"{next(_numbers)}.db")
        back_up(self.site.url, self.backups[-1])

    @precondition(lambda self: self.backups and not self.plant.is_taken)
    @rule(which=NUMBERS, at_once=st.booleans())
    def restore(self, which: int, at_once: bool) -> None:
        self._tell("restore")
        restore(self.plant, self.backups[which % len(self.backups)])
        self.is_restored = True
        if at_once:
            self.recover()

    @precondition(lambda self: self.is_restored)
    @rule()
    def recover(self) -> None:
        if recover_and_accept(self.plant):
            self._tell("recover")
            self.is_restored = False

    @precondition(lambda self: not self.is_restored)
    @rule()
    def confirm(self) -> None:
        if confirm(self.plant):
            self._tell("confirm")

    @rule()
    def unblock(self) -> None:
        if unblock(self.plant):
            self._tell("unblock")

    @rule()
    def judge_again(self) -> None:
        if judge_again(self.plant):
            self._tell("judge again")

    @rule(which=NUMBERS)
    def miss_a_row(self, which: int) -> None:
        """Let the judge leave out a record at its next call."""
        self._tell("missing row")
        self.plant.judge.distort = lambda _, rows: self._without(rows, which)

    def _without(self, rows: Rows, which: int) -> Rows:
        self.plant.judge.distort = None
        return [row for place, row in enumerate(rows) if place != which % len(rows)]

    @invariant()
    def the_promise(self) -> None:
        promise(self.plant)

    def teardown(self) -> None:
        if not hasattr(self, "plant"):
            return
        if self.backups and not self.plant.is_taken and not self.is_restored:
            self.restore(0, at_once=True)
        while self.zombies:
            self.wake()
        for number, offsets in self.open:
            self.plant.log.finish(self.plant.topic, number, offsets)
        if self.is_restored:
            demand(recover_and_accept(self.plant), "the log's end is reached", "not recovered")
        accept_all(self.plant)
        self.told["split"] += self.plant.splits()
        all_done(self.plant)

    @property
    def _logs(self) -> list[Any]:
        return self.plant.log.topics[self.plant.topic].partitions

    def _partition(self, number: int) -> int:
        return number % len(self._logs)

    def _tell(self, name: str) -> None:
        self.told[name] += 1


def test_every_story_keeps_the_promise(
    own_site: Site, tmp_path: Path, say: Callable[[str], None]
) -> None:
    told: Counter[str] = Counter()
    machine = type("Told", (Stories,), {"site": own_site, "folder": tmp_path, "told": told})
    machine._hypothesis_internal_use_seed = SEED
    run_state_machine_as_test(
        machine,
        _min_steps=FEWEST_STEPS,
        settings=settings(
            max_examples=STORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink) if SHRINKS else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    counts = ", ".join(f"{name} {count}" for name, count in sorted(told.items()))
    say(f"seed {SEED}: {STORIES} stories of up to {STEPS} steps: {counts}")
    assert sum(told.values()) > 5 * STORIES
