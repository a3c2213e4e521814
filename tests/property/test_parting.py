"""What stands of a batch and what is judged again: the pieces tile it, whatever its rows are."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.records.tiling import tile

ROWS = st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 19)), st.booleans(), max_size=40)
RANGES = st.dictionaries(
    st.integers(0, 2), st.tuples(st.integers(0, 9), st.integers(10, 20)), min_size=1
)


def parted(
    bounds: dict[int, tuple[int, int]], rows: dict[tuple[int, int], bool]
) -> tuple[list[tuple[OffsetRange, ...]], list[tuple[OffsetRange, ...]]]:
    offsets: dict[bool, defaultdict[int, list[int]]] = {
        True: defaultdict(list),
        False: defaultdict(list),
    }
    for (partition, offset), stands in sorted(rows.items()):
        offsets[stands][partition].append(offset)
    ranges = [OffsetRange(partition, *ends) for partition, ends in sorted(bounds.items())]
    return tile(ranges, offsets[True], offsets[False])


@given(RANGES, ROWS)
def test_the_pieces_tile_the_batch_and_each_row_is_in_a_piece_of_its_kind(
    bounds: dict[int, tuple[int, int]], rows: dict[tuple[int, int], bool]
) -> None:
    stand, again = parted(bounds, rows)
    covered = Counter(
        (one.partition, offset)
        for piece in stand + again
        for one in piece
        for offset in range(one.start, one.end)
    )
    whole = {
        (partition, offset)
        for partition, (start, end) in bounds.items()
        for offset in range(start, end)
    }
    assert covered == Counter(whole)
    for kind, pieces in ((True, stand), (False, again)):
        for piece in pieces:
            assert len({one.partition for one in piece}) == len(piece) > 0
            for one in piece:
                inside = [rows[at] for at in rows if at[0] == one.partition and at[1] in one]
                assert all(stands is kind for stands in inside)


def test_a_prefix_that_was_delivered_makes_two_pieces() -> None:
    rows = {(0, offset): offset < 7 for offset in range(10) if offset != 4}
    stand, again = parted({0: (0, 10), 1: (3, 12)}, rows)
    assert stand == [(OffsetRange(0, 0, 7),)]
    assert again == [(OffsetRange(0, 7, 10), OffsetRange(1, 3, 12))]
