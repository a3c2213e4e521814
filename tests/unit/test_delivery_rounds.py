from __future__ import annotations

import pytest

from frameferry.delivery.rounds import RetryPolicy, Round
from frameferry.errors import FtpUnavailable


def test_pauses_double_up_to_a_bound_with_jitter() -> None:
    policy = RetryPolicy(first_seconds=1, most_seconds=10)
    for failures, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (50, 10)):
        assert longest / 2 <= policy.pause_seconds(failures) <= longest


def test_items_come_out_in_order_and_results_in_the_items_order() -> None:
    round_ = Round("abc", RetryPolicy())
    tasks = [round_.take() for _ in "abc"]
    assert [task.item for task in tasks] == ["a", "b", "c"]
    for task in reversed(tasks):
        round_.done(task, task.item.upper())
    assert round_.take() is None
    assert round_.results() == ["A", "B", "C"]


def test_a_task_that_is_put_back_is_not_counted() -> None:
    round_ = Round("a", RetryPolicy(tries=1))
    round_.put_back(round_.take())
    assert round_.take().failures == 0


def test_an_item_is_tried_eight_times() -> None:
    round_ = Round("a", RetryPolicy(tries=8, first_seconds=0, most_seconds=0))
    again = [round_.try_again(round_.take()) for _ in range(8)]
    assert again == [True] * 7 + [False]


def test_nothing_is_tried_again_when_the_time_is_up() -> None:
    round_ = Round("a", RetryPolicy(budget_seconds=-1))
    assert not round_.try_again(round_.take())


def test_the_first_error_ends_the_round() -> None:
    round_ = Round("ab", RetryPolicy())
    round_.take()
    round_.stop(FtpUnavailable("first"))
    round_.stop(FtpUnavailable("second"))
    assert round_.take() is None
    with pytest.raises(FtpUnavailable, match="first"):
        round_.results()


def test_a_task_that_waits_for_its_next_try_lets_others_pass() -> None:
    round_ = Round("ab", RetryPolicy(first_seconds=60))
    round_.try_again(round_.take())
    assert round_.take().item == "b"
