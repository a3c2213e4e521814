from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from frameferry.delivery.pool import Pool
from frameferry.delivery.rounds import HELD_BYTES, RetryPolicy, Round, Task
from frameferry.errors import DeliveryRefused, FtpUnavailable, Phase


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


@pytest.mark.parametrize(
    ("phase", "has_succeeded", "kind"),
    [
        ("data connection", False, DeliveryRefused),
        ("data connection", True, FtpUnavailable),
        ("data", False, FtpUnavailable),
    ],
)
def test_what_is_given_up_says_where_and_how_far_it_came(
    phase: Phase, has_succeeded: bool, kind: type[DeliveryRefused | FtpUnavailable]
) -> None:
    pool = Pool(lambda: pytest.fail("there is no server"), connections=1)
    if has_succeeded:
        pool.note_success()
    error = FtpUnavailable("no answer", server="archive:21", phase=phase, partition=3)
    with pytest.raises(kind, match=f"partition 3, server archive:21, phase {phase}: given up"):
        pool.give_up(Task(0, "a", failures=8), error)


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


def test_items_are_drawn_when_somebody_has_a_hand_free() -> None:
    drawn: list[str] = []

    def items() -> Iterator[str]:
        for item in "abc":
            drawn.append(item)
            yield item

    round_: Round[str, str] = Round(items(), RetryPolicy())
    first = round_.take()
    assert drawn == ["a"]
    second = round_.take()
    assert drawn == ["a", "b"]
    round_.try_again(second)
    for task in (first, round_.take(), round_.take()):
        round_.done(task, task.item)
    assert round_.take() is None
    assert round_.results() == ["a", "b", "c"]


@pytest.mark.parametrize(("size", "held"), [(1, 5), (HELD_BYTES // 4, 4), (HELD_BYTES * 2, 2)])
def test_no_more_is_drawn_than_may_be_held(size: int, held: int) -> None:
    round_: Round[int, str] = Round([size] * 5, RetryPolicy(), weigh=int)
    tasks = [round_.take() for _ in range(held)]
    waits = threading.Thread(target=lambda: tasks.append(round_.take()))
    waits.start()
    waits.join(0.1)
    assert waits.is_alive() == (held < 5 or len(tasks) == held)
    for task in list(tasks):
        round_.done(task, "done")
    waits.join(10)
    assert not waits.is_alive()
    assert len(tasks) == held + 1


def test_what_the_items_raise_ends_the_round() -> None:
    def items() -> Iterator[str]:
        yield "a"
        msg = "no more"
        raise FtpUnavailable(msg)

    round_: Round[str, str] = Round(items(), RetryPolicy())
    round_.take()
    with pytest.raises(FtpUnavailable, match="no more"):
        round_.take()


def test_more_wait_as_long_as_they_are_expected() -> None:
    round_: Round[str, str] = Round(["a", "b"], RetryPolicy())
    assert round_.has_waiting
    round_.take()
    assert round_.has_waiting
    round_.take()
    assert not round_.has_waiting
