"""How long a demo is followed: while it moves, and long after."""

from __future__ import annotations

from frameferry.demo.patience import FRUITLESS_SECONDS, QUIET_SECONDS, Patience


class Watch:
    """A clock that a test winds on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def patience() -> tuple[Patience, Watch]:
    watch = Watch()
    return Patience(watch), watch


def test_a_demo_that_is_slow_but_moves_is_followed_however_long_it_takes() -> None:
    one, watch = patience()
    for pictures in range(100):
        one.note(pictures, "the same")
        watch.now += QUIET_SECONDS - 1
        assert not one.is_over
    assert one.why is None


def test_what_airflow_does_counts_until_it_was_fruitless_for_long() -> None:
    one, watch = patience()
    began = watch.now
    while not one.is_over:
        one.note("the same", watch.now)
        watch.now += QUIET_SECONDS / 2
    assert FRUITLESS_SECONDS <= watch.now - began < FRUITLESS_SECONDS + QUIET_SECONDS
    assert "Airflow's tasks came and went" in str(one.why)


def test_where_nothing_moves_it_ends_and_says_so() -> None:
    one, watch = patience()
    one.note("a", "b")
    watch.now += QUIET_SECONDS
    one.note("a", "b")
    assert f"Nothing has moved for {QUIET_SECONDS:.0f} s" in str(one.why)
    one.note("c", "b")
    assert not one.is_over
