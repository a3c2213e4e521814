"""
The guards of the promise, each with the small change that removes it.

A mutant must pass the type check and the happy path, and be killed by a named part of the promise,
in the one test that is named here. `scripts/mutants` runs them, and writes docs/mutants.md.
"""

from __future__ import annotations

from dataclasses import dataclass

PROCESSES = "tests/faults/test_guards_of_processes.py"
ENVOYS = "tests/faults/test_guards_of_envoys.py"
WORLD = "tests/faults/test_guards_of_the_world.py"
ADOPTING = (
    "tests/faults/test_adopting.py::test_an_adoption_that_dies_anywhere_is_whole_or_not_there"
)
STATEMENTS = "tests/faults/test_zombies_in_transactions.py"


@dataclass(frozen=True)
class Edit:
    """Replace *old*, which occurs once in *file* (below include/frameferry), by *new*."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One guard less."""

    name: str
    guard: str
    killer: str
    edits: tuple[Edit, ...]


def mutant(name: str, guard: str, killer: str, *edits: tuple[str, str, str]) -> Mutant:
    return Mutant(name, guard, killer, tuple(Edit(*edit) for edit in edits))


MUTANTS = (
    mutant(
        "no-fence",
        "a write passes only with the batch's newest attempt",
        f"{PROCESSES}::test_a_batch_that_another_attempt_judges_is_not_split",
        (
            "ledger/guards/fence.py",
            ".where(token_is_newest(token), true() if only_if is None else only_if)",
            ".where(batch.c.id == token.batch_id, true() if only_if is None else only_if)",
        ),
    ),
    mutant(
        "look-then-write",
        "the fence is one statement, not a look and a write",
        f"{STATEMENTS}::test_a_zombie_between_the_fence_and_the_write_holds_the_others_up",
        (
            "ledger/guards/fence.py",
            "    statement = (\n        update(batch)\n        .where(token_is_newest(token), ",
            (
                "    check(connection, token)\n    statement = (\n        update(batch)\n"
                "        .where(batch.c.id == token.batch_id, "
            ),
        ),
    ),
    mutant(
        "no-epoch",
        "a token of before a restore is refused",
        f"{PROCESSES}::test_an_attempt_of_before_a_restore_gets_no_leave_to_rename",
        (
            "ledger/guards/fence.py",
            "return select(ledger.c.epoch).scalar_subquery() == epoch",
            'return select(ledger.c.epoch).scalar_subquery() != f"no {epoch}"',
        ),
    ),
    mutant(
        "stale-plan",
        "ranges are frozen only from where the planned offset stands",
        f"{PROCESSES}::test_a_plan_against_offsets_that_moved_is_stale",
        (
            "ledger/progress/plans.py",
            "if swap_planned(connection, key, ranges) != len(ranges):",
            "if swap_planned(connection, key, ranges) > len(ranges):",
        ),
    ),
    mutant(
        "judge-twice",
        "a batch is judged once (asked after the claim, and in the write)",
        f"{PROCESSES}::test_a_batch_that_was_judged_meanwhile_is_not_judged_again",
        (
            "pipeline/steps.py",
            "        if batch.inferred_at is None or _moves(ctx, batch):\n",
            "        if batch.id or _moves(ctx, batch):\n",
        ),
        (
            "ledger/records/predictions.py",
            "        only_if=batch.c.inferred_at.is_(None),\n",
            "        only_if=batch.c.id > 0,\n",
        ),
    ),
    mutant(
        "no-census",
        "the census counts what the ledger has no row of",
        f"{PROCESSES}::test_a_record_that_neither_judge_nor_reader_shows_is_missed[Blind]",
        (
            "ledger/records/census.py",
            "    _refuse_mismatch(connection, token, census)\n",
            "",
        ),
    ),
    mutant(
        "no-position",
        "a census stands only if the read came to its range's end",
        f"{PROCESSES}::test_a_record_that_neither_judge_nor_reader_shows_is_missed[Hasty]",
        (
            "ledger/records/census.py",
            "if span.seen_to < span.end:",
            "if span.seen_to < span.start:",
        ),
    ),
    mutant(
        "no-sha256",
        "what is delivered has the sha256 that was judged",
        f"{WORLD}::test_other_bytes_than_were_judged_are_not_delivered",
        (
            "pipeline/deliver/delivering.py",
            "if size == row.size_bytes and sha256_hex(record.value) == row.sha256:",
            "if size == row.size_bytes and len(sha256_hex(b'')) == len(row.sha256):",
        ),
    ),
    mutant(
        "jumping-chain",
        "the committed offset follows ranges without a hole",
        f"{PROCESSES}::test_a_batch_that_is_finished_early_does_not_take_the_chain_with_it",
        (
            "ledger/progress/chain.py",
            (
                "        while (further := nexts.get((partition, end))) is not None:\n"
                "            end = further\n"
            ),
            "        end = max([start, *(to for (p, _), to in nexts.items() if p == partition)])\n",
        ),
    ),
    mutant(
        "no-control",
        "only a batch that fails where a control passes is charged",
        f"{WORLD}::test_a_broken_world_convicts_no_picture",
        (
            "pipeline/judge/trial.py",
            "            startup = _controlled(ctx, batch)\n",
            "            startup = ctx.settings.spark.startup_seconds\n",
        ),
    ),
    mutant(
        "one-proof",
        "a record is convicted by two failures alone",
        f"{WORLD}::test_a_picture_that_fails_alone_once_is_not_convicted",
        ("planning/trials.py", "PROOFS_NEEDED: Final = 2", "PROOFS_NEEDED: Final = 1"),
    ),
    mutant(
        "charged-in-company",
        "a failure beside other judge jobs counts against nobody",
        f"{PROCESSES}::test_an_innocent_beside_a_poisonous_picture_is_not_charged",
        ("pipeline/judge/trial.py", "    if was_shared:\n", "    if was_shared and times > 1:\n"),
    ),
    mutant(
        "suspects-in-company",
        "a suspect has the Spark server for itself",
        f"{PROCESSES}::test_an_innocent_beside_a_poisonous_picture_is_not_charged",
        (
            "pipeline/judge/trial.py",
            "    around = company(ctx, batch, is_alone=batch.trouble.is_suspect)\n",
            "    around = company(ctx, batch, is_alone=False)\n",
        ),
    ),
    mutant(
        "no-breaker",
        "too many quarantined images stop the pipeline",
        f"{WORLD}::test_too_many_quarantined_pictures_stop_the_pipeline",
        (
            "ledger/records/predictions.py",
            "    if max_quarantine is not None:\n",
            "    if max_quarantine is not None and not rows:\n",
        ),
    ),
    mutant(
        "nameless-intent",
        "an intent names its part",
        f"{PROCESSES}::test_a_dead_attempts_parts_are_found_by_their_names",
        (
            "ledger/records/intents.py",
            ".values(part_path=pair.c.value, ",
            '.values(part_path=record.c.remote_path + ".part", ',
        ),
    ),
    mutant(
        "settled-by-final",
        "an intent is settled by its part, not by the final file's size",
        f"{PROCESSES}::test_an_older_file_of_the_same_size_is_no_delivery",
        (
            "delivery/renaming.py",
            "    part = measure(ftp, intent.part_path)\n",
            (
                "    there = measure(ftp, intent.remote_path)\n"
                "    if there is not None and not there.flaw(intent.size_bytes, intent.sha256):\n"
                "        return Receipt(intent.record_id, there.how)\n"
                "    part = measure(ftp, intent.part_path)\n"
            ),
        ),
    ),
    mutant(
        "rename-first",
        "a file is renamed only under an intent",
        f"{PROCESSES}::test_no_file_is_renamed_before_it_is_written_down_that_it_may_be",
        (
            "pipeline/deliver/delivering.py",
            (
                "        self._intend(staged.staged, publisher)\n"
                "        published = publisher.publish(staged.staged)\n"
            ),
            (
                "        published = publisher.publish(staged.staged)\n"
                "        self._intend(staged.staged, publisher)\n"
            ),
        ),
    ),
    mutant(
        "tidy-exit",
        "a part under an open intent is left alone",
        f"{PROCESSES}::test_a_failing_attempt_leaves_the_parts_that_intents_name",
        (
            "delivery/publisher.py",
            "self._litter.difference_update(part for item in staged for part in item.parts)",
            "del items",
        ),
    ),
    mutant(
        "stray-rows",
        "a row that is no record is taken back",
        f"{WORLD}::test_a_row_that_is_no_record_is_taken_back",
        (
            "pipeline/deliver/delivering.py",
            "if stray := recorded - met:",
            "if stray := recorded - met - recorded:",
        ),
    ),
    mutant(
        "missing-rows",
        "a record without a row is judged again",
        f"{WORLD}::test_a_record_without_a_row_is_judged_again",
        (
            "pipeline/deliver/delivering.py",
            "            if record.offset not in recorded:\n",
            "            if record.offset not in recorded | met:\n",
        ),
    ),
    mutant(
        "rows-of-unjudged",
        "what was delivered of a batch that is judged again has a piece of its own",
        f"{PROCESSES}::test_what_was_delivered_before_all_is_judged_again_is_delivered_once",
        (
            "ledger/records/withdrawals.py",
            "    if not _has_touched(connection, held.id, rest):\n",
            "    if held.id:\n",
        ),
    ),
    mutant(
        "intents-of-pieces",
        "an open intent keeps its part wherever its batch's rows are",
        f"{PROCESSES}::test_an_open_intent_outlives_that_all_is_judged_again",
        (
            "ledger/records/orphans.py",
            "            batch.c.split_at.is_(None),\n            record.c.outcome",
            "            ours,\n            record.c.outcome",
        ),
    ),
    mutant(
        "other-partitions",
        "another topic has no partition of the older one",
        f"{WORLD}::test_a_topic_created_anew_with_fewer_partitions_ends_what_was_of_the_others",
        (
            "ledger/progress/topics.py",
            "if not _is_same_topic(old, row)}",
            "if not _is_same_topic(old, row) and generation < 0}",
        ),
    ),
    mutant(
        "any-topic",
        "another topic under the same name is no continuation",
        f"{WORLD}::test_a_topic_that_was_created_anew_is_no_continuation",
        (
            "ledger/progress/pipelines.py",
            "    if (row.cluster_id, row.topic_id) == (cluster_id, topic_id):\n",
            "    if row.cluster_id == cluster_id and topic_id:\n",
        ),
    ),
    mutant(
        "unlooked-rows",
        "what was judged counts only if the topic is the planned one behind the read",
        f"{WORLD}::test_what_was_judged_of_another_topic_is_thrown_away[False]",
        (
            "pipeline/judge/judging.py",
            "    world.refuse_exchanged(ctx, generation)\n    _record(",
            "    _record(",
        ),
    ),
    mutant(
        "any-generation",
        "what was read while a generation began is thrown away",
        f"{WORLD}::test_what_was_judged_of_another_topic_is_thrown_away[True]",
        ("pipeline/world/world.py", "    if now != generation:\n", "    if now < generation:\n"),
    ),
    mutant(
        "hasty-conviction",
        "a picture is convicted only if its topic is the planned one behind the read",
        f"{WORLD}::test_a_picture_of_another_topic_is_not_convicted",
        (
            "pipeline/judge/judging.py",
            "    world.refuse_exchanged(ctx, generation)\n    log.warning(",
            "    log.warning(",
        ),
    ),
    mutant(
        "low-for-new",
        "a partition that is seen later begins at 0",
        f"{WORLD}::test_what_a_new_partition_lost_already_is_a_gap",
        (
            "pipeline/world/world.py",
            (
                "    return {partition: 0 for partition in view.watermarks "
                "if partition not in known.progress}\n"
            ),
            (
                "    marks = view.watermarks\n"
                "    return {new: marks[new].low for new in marks if new not in known.progress}\n"
            ),
        ),
    ),
    mutant(
        "gaps-pass",
        "a gap holds back the committed offset until a person accepts it",
        f"{WORLD}::test_a_gap_waits_for_a_person",
        (
            "ledger/progress/chain.py",
            "for place, accepted in lost if accepted)]",
            "for place, accepted in lost if accepted or place.length)]",
        ),
    ),
    mutant(
        "uncut-ranges",
        "a frozen range that retention overtakes is cut",
        f"{WORLD}::test_a_frozen_range_that_retention_overtakes_is_cut",
        ("pipeline/world/losing.py", "    if not lost:\n", "    if not lost or left:\n"),
    ),
    mutant(
        "unlost-rows",
        "judged images that Kafka lost end in a gap",
        f"{WORLD}::test_judged_pictures_that_retention_took_are_a_gap",
        ("pipeline/world/losing.py", "    if lost:\n", "    if lost and not left:\n"),
    ),
    mutant(
        "committed-only",
        "a truncated log is recognised by every record that was judged",
        f"{WORLD}::test_a_log_that_lost_what_was_delivered_but_not_committed_is_noticed",
        (
            "pipeline/world/truncation.py",
            "    if mine.leader_epoch is None or mine.planned <= marks.low:\n",
            "    if mine.leader_epoch is None or mine.committed <= marks.low:\n",
        ),
    ),
    mutant(
        "lost-parts",
        "a recovery deletes the parts of the life that was lost",
        f"{WORLD}::test_nothing_of_a_lost_life_becomes_a_file_after_its_recovery",
        (
            "operations/looking.py",
            "    return not delete_parts(ftp, sorted(theirs.keys() - kept))\n",
            "    return not delete_parts(ftp, sorted(theirs.keys() - kept)[:0])\n",
        ),
    ),
    mutant(
        "no-witness",
        "a ledger that is older than the world stops until it is recovered",
        f"{WORLD}::test_a_ledger_that_is_older_than_the_world_stops_until_it_is_recovered[kept]",
        (
            "pipeline/world/witness.py",
            "    if trouble is not None:\n        raise trouble",
            "    if trouble is not None and not trouble.what:\n        raise trouble",
        ),
    ),
    mutant(
        "mute-witness",
        "a ledger whose mirror is gone stops until a person says what it is",
        f"{WORLD}::test_a_ledger_whose_mirror_is_gone_stops_until_a_person_says_what_it_is",
        (
            "pipeline/world/witness.py",
            "    return _missing(known, missing) if missing else None\n",
            "    return _missing(known, missing) if missing and heard.said else None\n",
        ),
    ),
    mutant(
        "planned-before-mirrored",
        "an adoption is mirrored before it freezes anything",
        f"{ADOPTING}[False-unknown]",
        (
            "operations/adopting/adopt.py",
            "    _announce(ctx, view, known, found.beginnings)\n",
            "    _announce(ctx, view, known, found.beginnings[:0])\n",
        ),
    ),
    mutant(
        "mirrored-ahead",
        "what is mirrored before an adoption is no further than the ledger may be after it",
        f"{ADOPTING}[False-mirrored_beyond]",
        (
            "operations/adopting/adopt.py",
            "min(one.start, before.get(one.partition, 0))",
            "max(one.start, before.get(one.partition, 0))",
        ),
    ),
    mutant(
        "any-client",
        "an envoy asks another Kafka by another client",
        f"{ENVOYS}::test_a_kafka_that_is_silent_is_not_taken_for_another",
        ("kafka/envoy_process.py", "if wanted != self._wanted or ", "if "),
    ),
)
