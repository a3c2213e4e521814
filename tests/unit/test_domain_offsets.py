"""Half-open ranges and watermarks."""

from __future__ import annotations

import pytest

from frameferry.domain.batch import Batch, Token
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.records import sha256_hex


@pytest.mark.parametrize("bounds", [(-1, 0, 1), (0, -1, 1), (0, 5, 5), (0, 6, 5)])
def test_a_range_that_is_none_cannot_be_made(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not an offset range"):
        OffsetRange(*bounds)


def test_the_end_is_exclusive() -> None:
    wanted = OffsetRange(0, 10, 20)
    assert [9 in wanted, 10 in wanted, 19 in wanted, 20 in wanted] == [False, True, True, False]
    assert wanted.length == 10
    assert str(wanted) == "0:[10, 20)"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (OffsetRange(0, 0, 10), False),
        (OffsetRange(0, 0, 11), True),
        (OffsetRange(0, 12, 13), True),
        (OffsetRange(0, 0, 99), True),
        (OffsetRange(0, 19, 99), True),
        (OffsetRange(0, 20, 99), False),
        (OffsetRange(1, 10, 20), False),
    ],
)
def test_ranges_overlap_in_one_partition_only(other: OffsetRange, expected: bool) -> None:
    wanted = OffsetRange(0, 10, 20)
    assert wanted.overlaps(other) == expected
    assert other.overlaps(wanted) == expected


def test_ranges_sort_by_partition_then_start() -> None:
    ranges = [OffsetRange(1, 0, 5), OffsetRange(0, 9, 10), OffsetRange(0, 2, 3)]
    assert sorted(ranges) == [OffsetRange(0, 2, 3), OffsetRange(0, 9, 10), OffsetRange(1, 0, 5)]


def test_an_open_transaction_holds_offsets_back() -> None:
    assert Watermarks(low=0, end=40, high=50).held_back == 10
    assert Watermarks(low=0, end=50, high=50).held_back == 0


def test_the_parts_of_two_attempts_never_share_a_tag() -> None:
    tags = {
        _batch(epoch, batch, attempt).part_tag
        for epoch in ("0123456789abcdef", "fedcba9876543210")
        for batch in (1, 11)
        for attempt in (1, 11)
    }
    assert len(tags) == 8
    assert "01234567-11-1" in tags


def test_a_digest_is_sha256_in_hex() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_hex(b"") == empty
    assert sha256_hex(memoryview(b"abc")[:0]) == empty


def _batch(epoch: str, batch_id: int, attempt: int) -> Batch:
    return Batch(
        id=batch_id,
        pipeline="press-a",
        generation=1,
        kind="live",
        parent_id=None,
        ranges=(OffsetRange(0, 0, 1),),
        token=Token(epoch, batch_id, attempt),
        sentence="",
        config_digest="",
        judge_digest=None,
        inferred_at=None,
        delivered_at=None,
        committed_at=None,
        split_at=None,
    )
