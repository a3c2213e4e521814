"""Errors say what, where and what to do, and survive the way between processes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from frameferry import errors
from frameferry.errors import (
    FrameferryError,
    FtpUnavailable,
    LoginRefused,
    TerminalError,
    TransientError,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, FrameferryError)
]


def test_a_message_names_place_fact_and_remedy() -> None:
    error = FtpUnavailable("no answer in time", remedy="Start it", pipeline="press-a", batch=7)
    assert str(error) == "pipeline press-a, batch 7: no answer in time. Start it"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FtpUnavailable("no answer"), "no answer"),
        (FtpUnavailable("no answer", remedy="Wait"), "no answer. Wait"),
        (FtpUnavailable("no answer", offset=0), "offset 0: no answer"),
        (FtpUnavailable("no answer", batch=None), "no answer"),
    ],
)
def test_what_is_not_known_is_not_said(error: FrameferryError, expected: Any) -> None:
    assert expected == str(error)


def test_coordinates_of_the_raiser_win_over_later_ones() -> None:
    error = FtpUnavailable("no answer", batch=7).at(batch=8, pipeline="press-a", offset=None)
    assert error.where == {"pipeline": "press-a", "batch": 7}


def test_at_returns_the_same_error_so_that_it_can_be_raised() -> None:
    error = FtpUnavailable("no answer")
    assert error is error.at(batch=1)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_pickling_and_copying(cls: type[FrameferryError]) -> None:
    error = cls("what", remedy="do this", pipeline="press-a", offset=3)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(error), str(error), error.where) == (type(twin), str(twin), twin.where)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_transient_or_terminal_and_never_both(cls: type[FrameferryError]) -> None:
    if cls not in {FrameferryError, TransientError, TerminalError}:
        assert issubclass(cls, TransientError) != issubclass(cls, TerminalError)


def test_a_refused_log_in_is_never_tried_again() -> None:
    assert issubclass(LoginRefused, TerminalError)
