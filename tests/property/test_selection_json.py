"""Every selection survives its own JSON, and no JSON is read that is not written so."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import (
    OfBatch,
    OneRecord,
    Predicted,
    Quarantined,
    Ranges,
    Selection,
    Window,
)
from frameferry.domain.selection_json import parse, to_json
from frameferry.errors import ConfigError

NUMBERS = st.integers(min_value=0, max_value=2**62)
LAST_MS = 253_402_300_799_999


@st.composite
def ranges(draw: st.DrawFn) -> Ranges:
    bounds = sorted(draw(st.sets(NUMBERS, min_size=2, max_size=8)))
    pairs = zip(bounds[::2], bounds[1::2], strict=False)
    return Ranges(tuple(OffsetRange(draw(st.integers(0, 3)), *pair) for pair in pairs))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(st.integers(0, LAST_MS - 1))
    return Window(start, draw(st.integers(start + 1, LAST_MS)))


SELECTIONS: st.SearchStrategy[Selection] = st.one_of(
    ranges(),
    windows(),
    st.builds(OfBatch, st.integers(1, 2**62)),
    st.builds(OneRecord, NUMBERS, NUMBERS),
    st.builds(Quarantined, st.text(min_size=1).map(str.strip).filter(bool)),
    st.builds(
        Predicted,
        st.text(min_size=1).filter(str.strip),
        st.none() | st.floats(0, 1, exclude_min=True),
        st.none() | ranges() | windows(),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["ranges", "window", "batch", "record", "quarantined", "predicted", "label"])


@given(SELECTIONS)
def test_it_is_read_back_as_it_was(selection: Selection) -> None:
    assert selection == parse(to_json(selection))
    assert to_json(selection) == to_json(parse(to_json(selection)))


@given(st.dictionaries(KEYS, JSON, max_size=2) | JSON)
def test_any_json_is_a_selection_or_is_refused_in_words(value: Any) -> None:
    with suppress(ConfigError):
        found = parse(json.dumps(value))
        assert found == parse(to_json(found))
