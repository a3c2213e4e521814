"""Turns are few, fewer for one Kafka, and who waits for a silent one waits once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest
from fixtures.polling import poll

from frameferry.errors import KafkaUnavailable
from frameferry.kafka.turns import Turns

SILENT = KafkaUnavailable("Kafka at a gave no answer", remedy="Start the broker")


def take(turns: Turns, servers: str, seconds: float = 0.01) -> bool:
    try:
        with turns.turn(servers, seconds):
            return True
    except KafkaUnavailable:
        return False


def test_one_kafka_takes_a_share_of_the_turns_and_the_rest_is_for_others() -> None:
    turns = Turns(4, 2)
    with ExitStack() as held:
        for servers in ("a", "a", "b"):
            held.enter_context(turns.turn(servers, 1))
        assert [False, True, True] == [take(turns, servers) for servers in ("a", "b", "c")]
        held.enter_context(turns.turn("b", 1))
        assert not take(turns, "c")
    assert take(turns, "a")


def test_no_turn_in_time_is_said() -> None:
    turns = Turns(1, 1)
    with (
        turns.turn("a", 1),
        pytest.raises(KafkaUnavailable, match=r"Kafka at b .*no turn came within 0.01 s"),
        turns.turn("b", 0.01),
    ):
        pass


def test_a_turn_comes_free_for_whoever_waits() -> None:
    turns, done = Turns(1, 1), Event()
    with ThreadPoolExecutor() as others:
        with turns.turn("a", 1):
            waiting = others.submit(take, turns, "a", 30)
            done.set()
        assert waiting.result()


def test_what_one_hears_those_in_line_have_heard_and_later_ones_ask_anew() -> None:
    turns = Turns(2, 1)

    def line_up() -> str:
        with pytest.raises(KafkaUnavailable) as told, turns.turn("a", 30):
            pass
        return str(told.value)

    with ThreadPoolExecutor() as others:
        with turns.turn("a", 1) as turn:
            lined_up = [others.submit(line_up) for _ in range(3)]
            poll(lambda: len(turns._changed._waiters) == 3, "the line")
            turn.trouble = SILENT
        assert 3 * [str(SILENT)] == [told.result() for told in lined_up]
    assert take(turns, "a")


def test_what_one_hears_says_nothing_of_another_kafka() -> None:
    turns = Turns(1, 1)
    with ThreadPoolExecutor() as others:
        with turns.turn("a", 1) as turn:
            waiting = others.submit(take, turns, "b", 30)
            poll(lambda: len(turns._changed._waiters) == 1, "the line")
            turn.trouble = SILENT
        assert waiting.result()


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1, 1)
    with pytest.raises(ZeroDivisionError), turns.turn("a", 1):
        raise ZeroDivisionError
    assert take(turns, "a")


def test_waiting_costs_no_more_than_it_may() -> None:
    turns = Turns(1, 1)
    with turns.turn("a", 1):
        began = time.monotonic()
        assert not take(turns, "a", 0.1)
    assert time.monotonic() - began < 5
