"""
One schedule for each guard that keeps processes from each other: with the guard gone the promise
is broken, as `scripts/mutants` shows.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from fixtures.boundary import Boundary, Crashed, Zombie, when
from fixtures.log_clients import LogReader
from fixtures.persons import accept_all, judge_again
from fixtures.plant import Plant, Site
from fixtures.promise import all_done, promise

from frameferry.errors import BatchTooBig, FtpUnavailable, JudgingFailed, SparkLost
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline import steps
from frameferry.pipeline.deliver.sweeping import sweep

pytestmark = pytest.mark.usefixtures("small_groups", "quick_retries")


def overtaken(plant: Plant, place: str) -> None:
    """Let one process stand still at a place, others run to the end, and the first wake up."""
    zombie = Zombie(place)
    zombie.run(plant.process(zombie).carry)
    assert zombie.where == place
    plant.finish()
    zombie.wake()
    all_done(plant)


def dies_at(plant: Plant, place: str, *batches: int) -> None:
    with pytest.raises(Crashed):
        plant.process(when(place, Boundary.die)).carry(*batches)


def test_the_happy_path(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=3)
    plant.produce(4)
    plant.log.produce_transaction(plant.topic, plant.pictures(2), partition=1)
    plant.log.produce_transaction(plant.topic, plant.pictures(1), partition=1, abort=True)
    plant.produce(1, partition=1)
    plant.finish()
    all_done(plant)
    selection = selected(partition=0, start=0, end=2)
    options = {"mode": "redeliver", "dry_run": False}
    plant.process().attempt(plan_replay, selection, who="tests", **options)
    plant.finish()
    all_done(plant)


def test_a_batch_that_another_attempt_judges_is_not_split(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=4)
    plant.produce(2)

    def too_big(number: int) -> None:
        if number == 1:
            msg = "it is too big, or so it seemed"
            raise BatchTooBig(msg, partition=0, offset=1)

    plant.judge.accident = too_big
    splitter, judge = Zombie("ledger.split_batch"), Zombie("ledger.record_predictions")
    splitter.run(plant.process(splitter).carry)
    plant.pass_time()
    judge.run(plant.process(judge).carry)
    splitter.wake()
    judge.wake()
    promise(plant)
    plant.finish()
    all_done(plant)


def test_an_overtaken_attempt_gets_no_leave_to_rename(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    overtaken(plant, "ledger.record_intents")


def test_an_attempt_of_before_a_restore_gets_no_leave_to_rename(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    zombie = Zombie("ledger.record_intents")
    zombie.run(plant.process(zombie).carry)
    sqlite_site.outside.restore_to_before_the_last_claim(plant.pipeline)
    plant.process().carry()
    zombie.wake()
    promise(plant)
    plant.finish()
    all_done(plant)


def test_a_plan_against_offsets_that_moved_is_stale(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    overtaken(plant, "ledger.add_batch")


def test_a_batch_that_was_judged_meanwhile_is_not_judged_again(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    overtaken(plant, "ledger.claim")


def test_a_batch_that_is_finished_early_does_not_take_the_chain_with_it(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=2, max_open=2)
    plant.produce(4)
    process = plant.process()
    _, second = process.attempt(steps.plan).batch_ids
    for step in (steps.infer, steps.deliver, steps.commit):
        assert process.succeeds(step, second)
    promise(plant)
    plant.finish()
    all_done(plant)


def test_a_dead_attempts_parts_are_found_by_their_names(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, after="taken")
    plant.produce(2)
    dies_at(plant, "ftp.RNFR")
    promise(plant)
    plant.finish()
    all_done(plant)


def test_an_older_file_of_the_same_size_is_no_delivery(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    plant.finish()
    selection = selected(partition=0, start=0, end=2)
    options = {"mode": "redeliver", "dry_run": False}
    planned = plant.process().attempt(plan_replay, selection, who="tests", **options)
    dies_at(plant, "ftp.RNFR", *planned.batch_ids)
    plant.finish()
    all_done(plant)


def test_no_file_is_renamed_before_it_is_written_down_that_it_may_be(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    dies_at(plant, "ftp.RNTO done")
    plant.finish()
    all_done(plant)


def test_a_failing_attempt_leaves_the_parts_that_intents_name(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)

    def cut(_: Boundary, __: int, name: str) -> None:
        if name == "ftp.RNFR":
            msg = "cut off"
            raise FtpUnavailable(msg)

    plant.process(cut).carry()
    promise(plant)
    plant.finish()
    all_done(plant)


class Blind(LogReader):
    """A reader that keeps the last record to itself, though it counts it."""

    def __iter__(self):
        *records, _ = super().__iter__()
        yield from records


class Hasty(LogReader):
    """A reader that ends before the last record."""

    def __iter__(self):
        self._wanted = type(self._wanted)(
            self._wanted.partition, self._wanted.start, self._wanted.end - 1
        )
        yield from super().__iter__()

    def census(self):
        met = super().census()
        return type(met)(met.partition, met.start, met.end + 1, met.seen_to, met.count, met.digest)


@pytest.mark.parametrize("reader", [Blind, Hasty])
def test_a_record_that_neither_judge_nor_reader_shows_is_missed(sqlite_site, reader) -> None:
    plant = Plant(sqlite_site, max_records=10)
    plant.produce(3)
    plant.reader = reader
    plant.judge.distort = lambda _, rows: rows[:-1]
    for _ in range(2):
        plant.process().carry()
        plant.pass_time()
    promise(plant)
    plant.reader = LogReader
    plant.judge.distort = lambda _, rows: rows
    plant.finish()
    all_done(plant)


@pytest.fixture
def in_company(sqlite_site: Site) -> Plant:
    """A plant beside another whose picture takes the Spark server with it, again and again."""
    plant = Plant(sqlite_site, spark="shared")
    neighbour = Plant(sqlite_site, spark="shared")
    neighbour.produce(1)
    (batch_id,) = neighbour.process().attempt(steps.plan).batch_ids
    ledger = sqlite_site.ledger
    token = ledger.claim(batch_id, owner="neighbour", lease_seconds=900).token

    def crash(_: int) -> None:
        if ledger.begin_judging(token, server="sc://shared:1", is_alone=False, lease_seconds=900):
            ledger.end_judging(token)
            msg = "the server is gone"
            raise SparkLost(msg)

    plant.judge.accident = crash
    plant.produce(1)
    return plant


def test_an_innocent_beside_a_poisonous_picture_is_not_charged(in_company: Plant) -> None:
    in_company.finish()
    all_done(in_company)


def delivered_half(plant: Plant) -> None:
    """Let an attempt die when two of four pictures have their receipts."""
    plant.produce(4)
    dies_at(plant, "ledger.record_receipts done")
    plant.pass_time()


@pytest.mark.parametrize("accident", ["none", "fails", "expires"])
def test_what_was_delivered_before_all_is_judged_again_is_delivered_once(
    sqlite_site: Site, accident: str
) -> None:
    plant = Plant(sqlite_site, max_records=4)
    delivered_half(plant)
    assert judge_again(plant)
    promise(plant)
    calls = plant.judge.calls

    def fails(number: int) -> None:
        if calls < number <= calls + 2:
            msg = "a worker died"
            raise JudgingFailed(msg)

    if accident == "fails":
        plant.judge.accident = fails
    if accident == "expires":
        plant.log.expire(plant.topic, 0, 2)
    plant.finish()
    all_done(plant)
    assert plant.site.ledger.gaps(plant.pipeline) == []


@pytest.mark.parametrize("place", ["ftp.RNFR", "ledger.record_receipts"])
def test_an_open_intent_outlives_that_all_is_judged_again(sqlite_site: Site, place: str) -> None:
    plant = Plant(sqlite_site, max_records=4, after="taken")
    plant.produce(4)
    dies_at(plant, place)
    plant.pass_time()
    assert judge_again(plant)
    # The parts are named after the batch that was split; they are no litter.
    plant.process().attempt(sweep, dry_run=False)
    calls = plant.judge.calls

    def fails(number: int) -> None:
        if calls < number <= calls + 2:
            msg = "a worker died"
            raise JudgingFailed(msg)

    plant.judge.accident = fails
    plant.produce(4, partition=1)
    plant.finish()
    all_done(plant)


def test_a_judge_that_forgets_a_record_again_and_again_has_none_delivered_twice(
    sqlite_site: Site,
) -> None:
    plant = Plant(sqlite_site, max_records=4)
    plant.produce(4)
    plant.judge.distort = lambda number, rows: (
        [row for row in rows if row.offset != 3] if number <= 3 else rows
    )
    plant.finish()
    all_done(plant)


@pytest.mark.parametrize("by", ["the judge", "a person"])
def test_what_is_lost_of_a_batch_that_is_judged_again_is_lost_once(
    sqlite_site: Site, by: str
) -> None:
    plant = Plant(sqlite_site, max_records=6)
    plant.produce(6)
    if by == "the judge":
        plant.judge.distort = lambda number, rows: [
            row for row in rows if row.offset != 4 or number > 1
        ]
    process = plant.process()
    (batch_id,) = process.attempt(steps.plan).batch_ids
    assert process.succeeds(steps.infer, batch_id)
    plant.log.expire(plant.topic, 0, 2)
    with suppress(Crashed):
        plant.process(when("ftp.RNFR", Boundary.die)).attempt(steps.deliver, batch_id)
    plant.pass_time()
    if by == "a person":
        assert judge_again(plant)
    plant.finish()
    (gap,) = plant.site.ledger.gaps(plant.pipeline)
    assert (gap.start, gap.end) == (0, 2)
    accept_all(plant)
    all_done(plant)
