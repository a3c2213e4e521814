"""The benchmarks' figures in the documents are those that were measured."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from benchmarks import loads, memory, recovery, sharing
from benchmarks.pipeline.documents import README, between
from benchmarks.pipeline.goals import GOALS, judged
from benchmarks.pipeline.options import KEPT
from benchmarks.pipeline.results import read
from benchmarks.pipeline.summary import MARKER, summary
from benchmarks.pipeline.table import table


def test_the_table_in_the_document_is_made_from_the_kept_results():
    assert table(read(KEPT)) == between("benchmark")


def test_the_table_says_of_every_goal_whether_it_is_reached():
    results = read(KEPT)
    rows = [line for line in table(results).splitlines() if line.startswith("| ")]
    for goal in GOALS:
        (row,) = [line for line in rows if line.startswith(f"| {goal.text} |")]
        reached = [goal.is_reached(ratio) for each, _, _, ratio in judged(results) if each is goal]
        assert reached
        assert ("| yes |" in row) == all(reached)


def test_every_side_of_a_kept_round_was_warm_and_carried_the_same_pictures():
    carried: dict[tuple[object, ...], set[int]] = {}
    for each in read(KEPT).rounds:
        assert each.number > 0
        key = (each.part, each.model, each.size, each.number)
        carried.setdefault(key, set()).add(each.delivered)
    assert all(len(pictures) == 1 for pictures in carried.values())


def test_the_table_of_loads_is_made_from_the_kept_ones():
    kept = json.loads(loads.KEPT.read_text()) if loads.KEPT.exists() else None
    assert (loads.table(kept) if kept else "") == between("loads")


def test_the_drawings_of_memory_are_made_from_the_kept_points():
    kept = json.loads(memory.KEPT.read_text()) if memory.KEPT.exists() else None
    assert (memory.SHOWN if kept else "") == between("memory")
    for name, drawing in memory.drawn(kept).items() if kept else ():
        image = (memory.IMAGES / name).read_text(encoding="utf-8")
        assert drawing.svg() == image
        ET.fromstring(image)


def test_the_readmes_figures_are_those_that_were_measured():
    memories = json.loads(memory.KEPT.read_text())
    assert summary(read(KEPT), memories) == between(MARKER, README)


def test_what_is_shown_of_sharing_is_made_from_the_kept_figures():
    kept = json.loads(sharing.KEPT.read_text())
    assert sharing.shown(kept) == between(sharing.MARKER)
    for name, drawing in sharing.drawn(kept).items():
        assert drawing.svg() == (sharing.IMAGES / name).read_text(encoding="utf-8")


def test_the_table_of_recoveries_is_made_from_the_kept_figures_and_none_is_left_out():
    kept = json.loads(recovery.KEPT.read_text())
    assert recovery.shown(kept) == between("recovery")
    assert [*recovery.SERVERS, recovery.ALL] == [each["killed"] for each in kept["found"]]


def test_after_a_kill_of_everything_a_file_arrives_within_the_time_that_is_promised():
    kept = json.loads(recovery.KEPT.read_text())
    (all_killed,) = [each for each in kept["found"] if each["killed"] == recovery.ALL]
    assert all_killed["first_file_seconds"] <= 90
