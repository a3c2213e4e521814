"""Errors say what, where and what to do, and survive the way between processes."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from itertools import product
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from frameferry import errors
from frameferry.errors import (
    BatchTooBig,
    ConfigError,
    Coordinates,
    FrameferryError,
    FtpUnavailable,
    LoginRefused,
    TerminalError,
    TopicMissing,
    TransientError,
    Where,
    own_fields,
    revived,
)


def walked(cls: type[FrameferryError]) -> Iterator[type[FrameferryError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from walked(child)


def examples(hint: Any) -> list[Any]:
    """Values of a field's type: all there are, if they are few."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_args(hint):
        return [value for one in get_args(hint) for value in examples(one)]
    return {bool: [True, False], int: [0, 2**40], str: ["", "도장"], type(None): [None]}[hint]


def made(cls: type[FrameferryError]) -> Iterator[FrameferryError]:
    """Errors of a class with everything that one can carry, and with as little as it must."""
    fields = own_fields(cls)
    for values in product(*map(examples, fields.values())):
        error = cls("what\n{}", remedy='do "this"', **dict(zip(fields, values, strict=True)))
        yield error
        yield copy.copy(error).at(pipeline="press-a", batch=7, topic="t", partition=0, offset=3)
        yield copy.copy(error).at(model="/m", server="archive:21")


CLASSES = list(walked(FrameferryError))
ERRORS = [error for cls in CLASSES for error in made(cls)]
WHERE_TYPES = get_type_hints(Where)


def carried(error: FrameferryError) -> tuple[Any, ...]:
    own = tuple(getattr(error, name) for name in own_fields(type(error)))
    return type(error), str(error), error.what, error.remedy, error.where, own


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


def test_coordinates_are_named_in_one_order_whoever_knew_them() -> None:
    error = FtpUnavailable("no answer", server="archive:21", phase="login")
    error.at(offset=3, partition=0).at(pipeline="press-a")
    expected = "pipeline press-a, partition 0, offset 3, server archive:21, phase login: no answer"
    assert expected == str(error)


def test_coordinates_of_the_raiser_win_over_later_ones() -> None:
    error = FtpUnavailable("no answer", batch=7).at(batch=8, pipeline="press-a", offset=None)
    assert error.where == Coordinates(pipeline="press-a", batch=7)


def test_at_returns_the_same_error_so_that_it_can_be_raised() -> None:
    error = FtpUnavailable("no answer")
    assert error is error.at(batch=1)


def test_what_an_error_carries_changes_by_no_assignment() -> None:
    error: Any = FtpUnavailable("no answer", remedy="Wait", batch=1)
    for name in ("where", "remedy"):
        with pytest.raises(AttributeError):
            setattr(error, name, None)
    with pytest.raises(FrozenInstanceError):
        error.where.batch = 2
    assert str(error.advise("Start it")) == "batch 1: no answer. Start it"


def test_every_coordinate_can_be_given() -> None:
    assert get_type_hints(Coordinates) == WHERE_TYPES
    assert set(WHERE_TYPES) == set(replace(Coordinates()).__slots__)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_can_be_found_by_its_name(cls: type[FrameferryError]) -> None:
    assert cls is getattr(errors, cls.__name__)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_every_error_crosses_into_another_process_as_it_was(error: FrameferryError) -> None:
    twins = (
        revived(json.loads(json.dumps(error.content()))),
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
        copy.deepcopy(error),
    )
    assert [carried(error)] * len(twins) == [carried(twin) for twin in twins]


def test_fields_by_which_a_program_decides_are_those_of_the_class() -> None:
    found = {cls.__name__: list(own_fields(cls)) for cls in CLASSES if own_fields(cls)}
    assert found == {
        "BatchTooBig": ["partition", "offset"],
        "FtpUnavailable": ["phase"],
        "FtpCrowded": ["phase"],
        "DeliveryRefused": ["phase"],
        "LoginRefused": ["is_plain"],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "TopicTurned"},
        {"kind": "TopicTurned", "fields": {}},
        {"kind": "encodable", "fields": {}},
        {"kind": "Where", "fields": {}},
        {"kind": None},
        {"what": 7},
        {"remedy": None},
        {"where": {"broker": "b:9092"}},
        {"where": {"offset": "4"}},
        {"where": {"topic": 4}},
        {"where": []},
        {"fields": {}},
        {"fields": {"partition": 0}},
        {"fields": {"partition": 0, "offset": "4"}},
        {"fields": {"partition": 0, "offset": None}},
        {"fields": {"partition": 0, "offset": 4, "bytes": 5}},
        {"kind": "FtpUnavailable", "fields": {"phase": "logout"}},
        {"kind": "FtpUnavailable", "fields": {"phase": 7}},
        {"kind": "LoginRefused", "fields": {"is_plain": "no"}},
    ],
    ids=str,
)
def test_what_another_version_raised_is_said_and_decides_nothing(change: dict[str, Any]) -> None:
    content = BatchTooBig("it is too big", partition=0, offset=4).content()
    error = revived({**content, **change})
    assert type(error) is ConfigError
    assert "this version of Frameferry does not know" in error.what
    assert str({**content, **change}["what"]) in error.what
    assert "same version everywhere" in error.remedy


@pytest.mark.parametrize("content", [None, 7, "text", [], {}, {"kind": "TopicMissing"}], ids=repr)
def test_what_is_no_error_at_all_is_said_too(content: object) -> None:
    error = revived(content)
    assert type(error) is ConfigError
    assert str(content) in error.what


def test_a_pickle_of_another_version_is_met_in_the_same_way() -> None:
    pickled = pickle.dumps(TopicMissing("there is none", topic="t"))
    error = pickle.loads(pickled.replace(b"TopicMissing", b"TopicTurned!"))
    assert type(error) is ConfigError
    assert error.what.endswith("does not know: TopicTurned!: there is none")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_transient_or_terminal_and_never_both(cls: type[FrameferryError]) -> None:
    if cls not in {FrameferryError, TransientError, TerminalError}:
        assert issubclass(cls, TransientError) != issubclass(cls, TerminalError)


def test_a_refused_log_in_is_never_tried_again() -> None:
    assert issubclass(LoginRefused, TerminalError)
