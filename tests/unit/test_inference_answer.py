from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from frameferry.inference import answer as reading
from frameferry.inference.answer import Answer, misfit, readings_of
from frameferry.inference.card import Output, Spec
from frameferry.inference.outputs.classes import SHARES_BYTES
from frameferry.inference.outputs.finding import NoAnswer

SPEC = Spec(8, 8, "unit", ("good", "scratch", "hole"), "softmax", None, 0.5, 100, 100)
TWO = replace(SPEC, labels=("good", "bad"))


def answers(raw: np.ndarray, spec: Spec) -> list[Answer | NoAnswer]:
    return reading.answers({"dense": raw}, spec)


def output_counts(spec: Spec) -> set[int]:
    return readings_of(spec)[""].counts


def unlike_output(raw: np.ndarray, spec: Spec) -> str | None:
    return misfit({"dense": raw}, spec)


def test_softmax_is_taken_as_it_is() -> None:
    (answer,) = answers(np.array([[0.1, 0.7, 0.2]]), SPEC)
    assert answer == ("scratch", 0.7, '{"good":0.1,"scratch":0.7,"hole":0.2}', None, None)


def test_logits_become_shares_even_where_they_are_huge() -> None:
    small, huge = answers(
        np.array([[0, 0, np.log(2)], [1e4, -1e4, 0]]), replace(SPEC, output="logits")
    )
    assert isinstance(small, Answer)
    assert (small.label, small.score) == ("hole", 0.5)
    assert isinstance(huge, Answer)
    assert (huge.label, huge.score) == ("good", 1.0)


@pytest.mark.parametrize(("raw", "label", "score"), [(0.9, "bad", 0.9), (0.2, "good", 0.8)])
def test_a_single_sigmoid_speaks_of_the_second_label(raw: float, label: str, score: float) -> None:
    (answer,) = answers(np.array([[raw]]), replace(TWO, output="sigmoid"))
    assert isinstance(answer, Answer)
    assert (answer.label, answer.score) == (label, score)


def test_a_single_logit_goes_through_a_sigmoid() -> None:
    first, second = answers(np.array([[0.0], [-800.0]]), replace(TWO, output="logits"))
    assert isinstance(first, Answer)
    assert first.score == 0.5
    assert isinstance(second, Answer)
    assert (second.label, second.score) == ("good", 1.0)


def test_sigmoids_need_not_add_up() -> None:
    spec = replace(SPEC, output="sigmoid")
    raw = np.array([[0.9, 0.95, 0.1]])
    (answer,) = answers(raw, spec)
    assert isinstance(answer, Answer)
    assert (answer.label, answer.score) == ("scratch", 0.95)
    assert unlike_output(raw, spec) is None


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ((0.5, np.nan, 0.5), "an output is NaN or infinite"),
        ((0.5, np.inf, 0.5), "an output is NaN or infinite"),
        ((-np.inf, 0.5, 0.5), "an output is NaN or infinite"),
        ((0.5, 1.5, -1.0), "outputs lie between -1 and 1.5, not between 0 and 1"),
        ((0.2, 0.2, 0.2), "outputs add up to 0.6, not to 1"),
    ],
)
def test_what_is_no_answer_says_why_and_spares_its_neighbours(
    broken: tuple[float, float, float], why: str
) -> None:
    none, answer = answers(np.array([broken, [1, 0, 0]]), SPEC)
    assert none == NoAnswer(why)
    assert isinstance(answer, Answer)
    assert answer.label == "good"


def test_a_score_below_the_threshold_is_unsure_only_where_the_card_has_a_word_for_it() -> None:
    raw = np.array([[0.4, 0.35, 0.25], [0.5, 0.25, 0.25]])
    low, at = answers(raw, replace(SPEC, unsure="look again"))
    assert isinstance(low, Answer)
    assert (low.label, low.score) == ("look again", 0.4)
    assert isinstance(at, Answer)
    assert at.label == "good"
    (plain, _) = answers(raw, SPEC)
    assert isinstance(plain, Answer)
    assert plain.label == "good"


@pytest.mark.parametrize(
    ("output", "raw", "words"),
    [
        ("softmax", [[3.0, -2.0, 0.5]], "between -2 and 3"),
        ("softmax", [[0.9, 0.8, 0.1]], "add up to 1.8"),
        ("sigmoid", [[0.5, 1.5, 0.2]], "between 0.2 and 1.5"),
        ("softmax", [[0.301, 0.4, 0.3]], None),
        ("softmax", [[np.nan, 7, 7]], None),
        ("logits", [[3.0, -2.0, 0.5]], None),
    ],
)
def test_numbers_of_another_kind_are_noticed(
    output: Output, raw: list[list[float]], words: str | None
) -> None:
    unlike = unlike_output(np.array(raw), replace(SPEC, output=output))
    assert (unlike is None) if words is None else (unlike is not None and words in unlike)


def test_how_many_outputs_fit() -> None:
    assert output_counts(SPEC) == {3}
    assert output_counts(TWO) == {2}
    assert output_counts(replace(TWO, output="sigmoid")) == {1, 2}
    assert output_counts(replace(SPEC, output="sigmoid")) == {3}


def test_many_or_long_labels_stay_short_with_the_largest_first() -> None:
    labels = tuple(f"결함 번호 {number}" for number in range(1000))
    raw = np.full((1, 1000), 0.5 / 998)
    raw[0, 700], raw[0, 3] = 0.3, 0.2
    (answer,) = answers(raw, replace(SPEC, labels=labels))
    assert isinstance(answer, Answer)
    assert len(answer.outputs.encode()) < SHARES_BYTES
    assert list(json.loads(answer.outputs))[:2] == ["결함 번호 700", "결함 번호 3"]


def test_scores_stay_within_bounds() -> None:
    (answer,) = answers(np.array([[1.01, -0.005, -0.005]], np.float32), SPEC)
    assert isinstance(answer, Answer)
    assert answer.score == 1.0
    assert json.loads(answer.outputs) == {"good": 1.0, "scratch": 0.0, "hole": 0.0}
