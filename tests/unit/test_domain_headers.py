"""Header values as texts: any bytes, bounded, and the same wherever a record is read."""

from __future__ import annotations

import pytest

from frameferry.domain.headers import HEADER_BYTES, header_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (b"", ""),
        ("불량 1.jpg".encode(), "불량 1.jpg"),
        (b"\xff.jpg", "\N{REPLACEMENT CHARACTER}.jpg"),
        (b"a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("text", "text"),
        (b"x" * HEADER_BYTES, "x" * HEADER_BYTES),
    ],
)
def test_any_header_is_a_text(value: bytes | str | None, text: str | None) -> None:
    assert text == header_text(value)


@pytest.mark.parametrize("letter", ["x", "도", "\0"])
def test_a_long_header_keeps_both_ends_and_stays_its_own(letter: str) -> None:
    one, other = (header_text(f"begin{letter * 400}{n}{letter * 400}.jpg".encode()) for n in "12")
    assert one is not None
    assert other is not None
    assert one != other
    for text in (one, other):
        assert HEADER_BYTES - 8 < len(text.encode()) <= HEADER_BYTES
        assert text.startswith("begin")
        assert text.endswith(".jpg")
