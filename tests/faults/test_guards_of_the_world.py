"""
One schedule for each guard against what the log, the judge and the people do: with the guard gone
the promise is broken, as `scripts/mutants` shows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.boundary import Boundary, Crashed, Zombie, when
from fixtures.changing_judge import BROKEN, POISON
from fixtures.persons import (
    accept_all,
    accept_gaps,
    accept_topic,
    recover,
    recover_and_accept,
    restore,
)
from fixtures.plant import Plant, Site
from fixtures.promise import all_done, promise

from frameferry.errors import DeliveryRefused, JudgingFailed, LogExchanged, TopicChanged
from frameferry.ledger.upkeep.backups import back_up
from frameferry.ledger.upkeep.exporting import parquet_in
from frameferry.ledger.upkeep.pruning import prune
from frameferry.pipeline import steps
from frameferry.pipeline.deliver.login import blocking

pytestmark = pytest.mark.usefixtures("small_groups", "quick_retries")


def infer(plant: Plant) -> int:
    """Plan one batch and judge it; return its id."""
    process = plant.process()
    (batch_id,) = process.attempt(steps.plan).batch_ids
    assert process.succeeds(steps.infer, batch_id)
    return batch_id


def test_other_bytes_than_were_judged_are_not_delivered(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    infer(plant)
    same_size = plant.log.topics[plant.topic].partitions[0].at(1).value.swapcase()
    plant.log.replace(plant.topic, 1, same_size)
    plant.finish()
    promise(plant)
    assert plant.site.ledger.pipeline_state(plant.pipeline).blocked


def test_a_broken_world_convicts_no_picture(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, failures_before_split=1)
    plant.produce(2)
    plant.judge.is_broken = True
    for _ in range(12):
        plant.process().carry()
        plant.pass_time()
    promise(plant)
    assert plant.judge.controls
    plant.judge.is_broken = False
    plant.finish()
    all_done(plant)


def test_a_picture_that_fails_alone_once_is_not_convicted(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(1)

    def by_chance(number: int) -> None:
        if number <= 3:
            msg = "a worker died"
            raise JudgingFailed(msg)

    plant.judge.accident = by_chance
    plant.finish()
    all_done(plant)


def test_too_many_quarantined_pictures_stop_the_pipeline(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_quarantine=1)
    plant.produce(3, mark=BROKEN.decode())
    plant.process().carry()
    promise(plant)
    accept_all(plant)
    all_done(plant)


def test_a_new_password_frees_no_pipeline_that_quarantines_too_much(sqlite_site: Site) -> None:
    """A delivery of another batch was under way when the breaker tripped, and is refused."""
    plant = Plant(sqlite_site, max_quarantine=1)
    plant.produce(3, mark=BROKEN.decode())
    infer(plant)
    with pytest.raises(DeliveryRefused), blocking(plant.process().ctx, "the old password's digest"):
        raise DeliveryRefused("530 not logged in")  # noqa: EM101 - a server's words
    plant.finish()
    assert plant.site.ledger.blocked(plant.pipeline)
    assert not any(plant.site.ledger.committed_offsets(plant.pipeline).values())


def test_a_row_that_is_no_record_is_taken_back(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=10)
    plant.log.produce_transaction(plant.topic, plant.pictures(2))
    marker = 2
    plant.judge.distort = lambda number, rows: (
        [*rows, replace(rows[0], offset=marker)] if number == 1 else rows
    )
    plant.finish()
    all_done(plant)


def test_a_record_without_a_row_is_judged_again(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=10)
    plant.produce(3)
    plant.judge.distort = lambda number, rows: rows[1:] if number == 1 else rows
    plant.finish()
    all_done(plant)


def test_a_topic_that_was_created_anew_is_no_continuation(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    plant.finish()
    plant.log.create_topic(plant.topic, partitions=2)
    plant.produce(2)
    plant.finish()
    promise(plant)
    if not plant.site.ledger.pipeline_state(plant.pipeline).blocked:
        all_done(plant)
    accept_all(plant)
    all_done(plant)


def test_what_a_new_partition_lost_already_is_a_gap(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(1)
    plant.finish()
    promise(plant)
    number = plant.log.add_partition(plant.topic)
    plant.produce(3, partition=number)
    plant.log.expire(plant.topic, number, 2)
    plant.finish()
    promise(plant)
    accept_all(plant)
    all_done(plant)


def test_a_gap_waits_for_a_person(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(1)
    plant.finish()
    plant.produce(4)
    plant.log.expire(plant.topic, 0, 3)
    plant.finish()
    promise(plant)
    assert accept_gaps(plant)
    all_done(plant)


def test_a_frozen_range_that_retention_overtakes_is_cut(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(3)
    plant.process().attempt(steps.plan)
    plant.log.expire(plant.topic, 0, 2)
    accept_all(plant)
    all_done(plant)


def test_judged_pictures_that_retention_took_are_a_gap(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(3)
    infer(plant)
    plant.log.expire(plant.topic, 0, 2)
    accept_all(plant)
    all_done(plant)


def test_a_log_that_lost_what_was_delivered_but_not_committed_is_noticed(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.produce(2)
    batch_id = infer(plant)
    assert plant.process().succeeds(steps.deliver, batch_id)
    plant.log.truncate(plant.topic, 0, 1)
    plant.produce(3)
    accept_all(plant)
    all_done(plant)


def test_a_log_that_lost_a_marker_below_the_committed_offset_is_noticed(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site)
    plant.log.produce_transaction(plant.topic, plant.pictures(2))
    plant.finish()
    plant.log.truncate(plant.topic, 0, 2)
    plant.produce(2)
    accept_all(plant)
    all_done(plant)


def test_rows_of_an_older_generation_tell_of_a_second_truncation(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, max_records=10)
    plant.produce(2)
    plant.produce(2, partition=1)
    infer(plant)
    for partition in (0, 1):
        plant.log.truncate(plant.topic, partition, 0)
        plant.produce(4, partition=partition)
        assert accept_topic(plant)
    accept_all(plant)
    all_done(plant)


def lead_anew(plant: Plant, partition: int = 0) -> None:
    """Restart a broker: the partition has a new leader, and its log is the same."""
    plant.log.topics[plant.topic].partitions[partition].leader_epoch += 1


def prune_all(plant: Plant, folder: Path) -> None:
    transactions = plant.site.ledger._transactions
    assert prune(transactions, older_than_seconds=0, export=parquet_in(folder), who="tests")


def is_blocked(plant: Plant) -> bool:
    plant.process().attempt(steps.wait)
    return plant.site.ledger.blocked(plant.pipeline) is not None


def test_a_new_leader_of_a_pruned_log_cut_nothing_off(sqlite_site: Site, tmp_path: Path) -> None:
    plant = Plant(sqlite_site, max_records=3)
    plant.produce(3)
    plant.produce(1, mark=BROKEN.decode())
    plant.produce(8)
    plant.finish()
    assert not is_blocked(plant)
    prune_all(plant, tmp_path)
    lead_anew(plant)
    assert not is_blocked(plant)


def test_a_pruned_log_that_was_cut_is_noticed_and_nothing_of_it_is_lost(
    sqlite_site: Site, tmp_path: Path
) -> None:
    plant = Plant(sqlite_site)
    plant.produce(4)
    plant.finish()
    assert not is_blocked(plant)
    prune_all(plant, tmp_path)
    plant.log.truncate(plant.topic, 0, 1)
    new = plant.produce(5)
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.finish()
    values = {one.value for one in plant.site.ftp.appeared(plant.base)}
    assert {plant.log.topics[plant.topic].partitions[0].at(at).value for at in new} <= values


def test_a_new_leader_over_batches_from_before_a_truncation_cut_nothing_off(
    sqlite_site: Site,
) -> None:
    plant = Plant(sqlite_site, max_records=2, max_open=3)
    plant.produce(6)
    first, *_ = plant.process().attempt(steps.plan).batch_ids
    process = plant.process()
    for step in (steps.infer, steps.deliver, steps.commit):
        assert process.succeeds(step, first)
    plant.log.truncate(plant.topic, 0, 5)
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.produce(3)
    assert not is_blocked(plant)
    lead_anew(plant)
    assert not is_blocked(plant)
    plant.finish()
    accept_all(plant)
    all_done(plant)


def over_two_partitions(site: Site, *, is_judged: bool) -> Plant:
    """Plan one batch over a picture of the first partition and two of the second."""
    plant = Plant(site, partitions=2, max_open=1)
    plant.produce(1)
    plant.produce(2, partition=1)
    if is_judged:
        infer(plant)
    else:
        plant.process().attempt(steps.plan)
    return plant


@pytest.mark.parametrize("is_judged", [False, True])
def test_a_topic_created_anew_with_fewer_partitions_ends_what_was_of_the_others(
    sqlite_site: Site, is_judged: bool
) -> None:
    plant = over_two_partitions(sqlite_site, is_judged=is_judged)
    plant.log.create_topic(plant.topic, partitions=1)
    plant.produce(4)
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.finish()
    accept_all(plant)
    all_done(plant)
    gaps = {(gap.partition, gap.start, gap.end) for gap in plant.site.ledger.gaps(plant.pipeline)}
    assert gaps == {(0, 0, 1), (1, 0, 2)}


def narrowed(plant: Plant, *partitions: int) -> None:
    """Leave only some partitions in the pipeline's file."""
    kafka = plant.settings.kafka.model_copy(update={"partitions": partitions or "all"})
    plant.settings = plant.settings.model_copy(update={"kafka": kafka})


def test_a_batch_over_a_partition_that_is_another_pipelines_by_now_reads_no_other_topic(
    sqlite_site: Site,
) -> None:
    plant = over_two_partitions(sqlite_site, is_judged=False)
    narrowed(plant, 0)
    plant.log.create_topic(plant.topic, partitions=2)
    plant.produce(2)
    plant.produce(2, partition=1)
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.finish()
    ledger = plant.site.ledger
    gaps = {(gap.partition, gap.start, gap.end) for gap in ledger.gaps(plant.pipeline)}
    assert gaps == {(0, 0, 1), (1, 0, 2)}
    assert {0} == {row.partition for row in ledger.records(plant.pipeline)}


@pytest.mark.parametrize("is_judged", [False, True])
def test_what_retention_takes_of_a_partition_that_was_taken_out_is_a_gap(
    sqlite_site: Site, is_judged: bool
) -> None:
    plant = over_two_partitions(sqlite_site, is_judged=is_judged)
    narrowed(plant, 0)
    plant.log.expire(plant.topic, 1, 2)
    plant.finish()
    (gap,) = plant.site.ledger.gaps(plant.pipeline)
    assert (gap.partition, gap.start, gap.end) == (1, 0, 2)
    accept_all(plant)
    all_done(plant)


def test_a_partition_that_was_out_while_a_truncation_was_accepted_is_not_begun_again(
    sqlite_site: Site,
) -> None:
    plant = Plant(sqlite_site, partitions=2)
    plant.produce(4)
    plant.produce(2, partition=1)
    plant.finish()
    narrowed(plant, 0)
    plant.log.truncate(plant.topic, 0, 2)
    assert is_blocked(plant)
    assert accept_topic(plant)
    narrowed(plant)
    plant.produce(1, partition=1)
    plant.finish()
    accept_all(plant)
    all_done(plant)
    assert 4 + 3 == len(plant.site.ftp.appeared(plant.base))


def test_a_topic_that_was_misspelt_for_a_while_goes_on_where_it_was(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(3)
    plant.finish()
    right = plant.settings
    wrong = right.kafka.model_copy(update={"topic": "misspelt"})
    plant.log.create_topic("misspelt", partitions=1)
    plant.settings = right.model_copy(update={"kafka": wrong})
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.settings = right
    plant.produce(1)
    assert is_blocked(plant)
    assert accept_topic(plant)
    plant.finish()
    assert {0: 4} == plant.site.ledger.committed_offsets(plant.pipeline)
    assert 4 == len(plant.site.ftp.appeared(plant.base))


def make_anew(plant: Plant, *, is_accepted: bool, low: int = 0) -> None:
    """Let the topic be another, with more records, that a person has accepted, or not yet."""
    partitions = len(plant.log.topics[plant.topic].partitions)
    plant.log.create_topic(plant.topic, partitions=partitions)
    for partition in range(partitions):
        plant.produce(9, partition=partition)
        plant.log.expire(plant.topic, partition, low)
    if is_accepted:
        accept_topic(plant)


@pytest.mark.parametrize("is_accepted", [False, True])
def test_what_was_judged_of_another_topic_is_thrown_away(
    sqlite_site: Site, is_accepted: bool
) -> None:
    plant = Plant(sqlite_site, max_records=20)
    plant.produce(3)
    plant.process(when("judge", lambda _: make_anew(plant, is_accepted=is_accepted))).carry()
    promise(plant)
    accept_all(plant)
    all_done(plant)


def test_a_picture_of_another_topic_is_not_convicted(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(1, mark=POISON.decode())
    done: list[int] = []
    for _ in range(12):
        # Of a batch that was never judged only a conviction reads here.
        anew = when("kafka.read", lambda _: done or done.append(make_anew_of_one(plant)))
        plant.process(anew).carry()
        plant.pass_time()
    assert done
    promise(plant)
    accept_all(plant)
    all_done(plant)


def make_anew_of_one(plant: Plant) -> int:
    make_anew(plant, is_accepted=False)
    return 1


def test_a_census_of_another_topic_does_not_count(sqlite_site: Site) -> None:
    """All is delivered but the census is missing, and a person accepts the new topic meanwhile."""
    plant = Plant(sqlite_site, partitions=1, max_records=20)
    plant.produce(3)
    with pytest.raises(Crashed):
        plant.process(when("ledger.record_census", Boundary.die)).carry()
    plant.pass_time()
    [batch] = plant.open_batches()
    process = plant.process(when("kafka.read", lambda _: make_anew(plant, is_accepted=True)))
    assert not process.succeeds(steps.deliver, batch)
    assert isinstance(process.errors[0], LogExchanged)
    accept_all(plant)
    all_done(plant)


def test_what_one_sees_of_a_partition_that_was_taken_out_is_of_the_same_topic(
    sqlite_site: Site,
) -> None:
    plant = Plant(sqlite_site, max_records=20)
    plant.produce(3)
    plant.produce(3, partition=1)
    [batch] = plant.process().attempt(steps.plan).batch_ids
    kafka = plant.settings.kafka.model_copy(update={"partitions": (0,)})
    plant.settings = plant.settings.model_copy(update={"kafka": kafka})
    anew = when("kafka.view", lambda _: make_anew(plant, is_accepted=False, low=2), nth=2)
    process = plant.process(anew)
    assert not process.succeeds(steps.infer, batch)
    assert isinstance(process.errors[0], TopicChanged)
    assert not plant.site.ledger.gaps(plant.pipeline)


def test_the_last_words_in_the_mirror_are_the_newest_generations(sqlite_site: Site) -> None:
    """A process that is late with the old one's would take the new one its witness."""
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(3)
    plant.finish()

    def go_on(_: Boundary) -> None:
        make_anew(plant, is_accepted=True)
        plant.process().carry()

    plant.process(when("kafka.mirror", go_on)).attempt(steps.publish)
    other = plant.process()
    other.attempt(steps.plan)
    assert not other.errors


def test_a_topic_that_is_accepted_while_one_looks_is_no_truncated_log(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(12)
    plant.finish()
    process = plant.process(when("kafka.view", lambda _: make_anew(plant, is_accepted=True)))
    assert process.attempt(steps.wait).now
    assert plant.site.ledger.blocked(plant.pipeline) is None


@pytest.mark.parametrize("after", ["kept", "taken"])
def test_a_ledger_that_is_older_than_the_world_stops_until_it_is_recovered(
    own_site: Site, tmp_path: Path, after: str
) -> None:
    plant = Plant(own_site, after=after, name="{stem}_{partition}-{offset:020d}{suffix}")
    plant.produce(2)
    plant.finish()
    with closing(sqlite3.connect(tmp_path / "older.db")) as older:
        copy(own_site.url, older)
        plant.produce(2)
        plant.finish()
        all_done(plant)
        put_back(older, own_site.url)
    plant.forget()
    plant.process().carry()
    recover(plant)
    plant.finish()
    all_done(plant)


def test_a_ledger_whose_mirror_is_gone_stops_until_a_person_says_what_it_is(
    own_site: Site, tmp_path: Path
) -> None:
    plant = Plant(own_site, name="{stem}_{partition}-{offset:020d}{suffix}")
    plant.produce(2)
    plant.finish()
    with closing(sqlite3.connect(tmp_path / "older.db")) as older:
        copy(own_site.url, older)
        plant.produce(2)
        plant.finish()
        all_done(plant)
        put_back(older, own_site.url)
    plant.forget()
    plant.log.forget_groups(plant.topic)
    plant.process().carry()
    recover(plant)
    plant.finish()
    all_done(plant)


def test_nothing_of_a_lost_life_becomes_a_file_after_its_recovery(
    own_site: Site, tmp_path: Path
) -> None:
    plant = Plant(own_site, name="{stem}_{partition}-{offset:020d}{suffix}")
    plant.produce(2)
    plant.finish()
    back_up(own_site.url, tmp_path / "older.db")
    plant.produce(2)
    zombie = Zombie("ftp.RNFR")
    zombie.run(plant.process(zombie).carry)
    assert zombie.where, "it stands between its intent and its rename"
    restore(plant, tmp_path / "older.db")
    assert recover_and_accept(plant)
    plant.finish()
    zombie.wake()
    plant.finish()
    all_done(plant)


def put_back(older: sqlite3.Connection, url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as ledger:
        older.backup(ledger)


def copy(url: str, into: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as ledger:
        ledger.backup(into)
