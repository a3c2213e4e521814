"""The benchmark's figures in the documents are those that were measured."""

from __future__ import annotations

from benchmarks.pipeline.documents import BEGIN, DOCUMENT, between
from benchmarks.pipeline.goals import GOALS, judged
from benchmarks.pipeline.options import KEPT
from benchmarks.pipeline.results import read
from benchmarks.pipeline.table import table


def test_the_table_in_the_document_is_made_from_the_kept_results():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert 1 == text.count(BEGIN)
    assert table(read(KEPT)) == between(text)


def test_the_table_says_of_every_goal_whether_it_is_reached():
    results = read(KEPT)
    rows = [line for line in table(results).splitlines() if line.startswith("| ")]
    for goal in GOALS:
        (row,) = [line for line in rows if line.startswith(f"| {goal.text} |")]
        reached = [goal.is_reached(ratio) for each, _, _, ratio in judged(results) if each is goal]
        assert reached
        assert ("| yes |" in row) == all(reached)


def test_the_kept_results_were_all_warm_and_every_side_carried_the_same_pictures():
    carried: dict[tuple[object, ...], set[int]] = {}
    for each in read(KEPT).rounds:
        assert each.number > 0
        carried.setdefault((each.part, each.model, each.size, each.number), set()).add(
            each.pictures
        )
    assert all(len(pictures) == 1 for pictures in carried.values())
