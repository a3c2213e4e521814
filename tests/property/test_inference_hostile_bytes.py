from __future__ import annotations

import io
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frameferry.demo.surfaces import picture
from frameferry.inference.card import Spec
from frameferry.inference.decode import decode
from frameferry.inference.undecodable import Undecodable

SPEC = Spec(16, 16, "unit", ("a", "b"), "softmax", None, 0.5, 200_000, 100_000)


def _written(file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture(1, "hole", (48, 40)).save(buffer, file_format, **options)
    return buffer.getvalue()


WHOLE = [
    _written("JPEG"),
    _written("JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0" + bytes(40)),
    _written("JPEG", restart_marker_rows=1),
    _written("PNG"),
    _written("BMP"),
]
EDIT = st.tuples(st.floats(0, 1), st.binary(min_size=0, max_size=6), st.integers(0, 6))


@settings(max_examples=300)
@given(value=st.sampled_from(WHOLE), edits=st.lists(EDIT, min_size=1, max_size=8))
def test_no_edited_picture_raises(value: bytes, edits: list[tuple[float, bytes, int]]) -> None:
    for share, new, dropped in edits:
        place = int(share * len(value))
        value = value[:place] + new + value[place + dropped :]
    result = decode(value, SPEC)
    if isinstance(result, Undecodable):
        assert result.detail
    else:
        assert result.shape == (16, 16, 3)
        assert np.uint8 == result.dtype


@settings(max_examples=100)
@given(
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"]),
    tail=st.binary(max_size=300),
)
def test_no_bytes_at_all_raise(head: bytes, tail: bytes) -> None:
    assert isinstance(decode(head + tail, SPEC), Undecodable)
