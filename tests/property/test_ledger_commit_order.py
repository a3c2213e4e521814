"""However batches finish, the committed offset is what a person would mark off by hand."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.progress.chain import follow

CUTS = st.lists(st.integers(0, 60), min_size=2, max_size=12, unique=True).map(sorted)


@given(CUTS, st.data())
def test_every_offset_below_the_end_lies_in_a_link_and_the_one_at_it_does_not(
    cuts: list[int], data: st.DataObject
) -> None:
    tiles = [OffsetRange(0, *pair) for pair in pairwise(cuts)]
    links = data.draw(st.lists(st.sampled_from(tiles), unique=True))
    start = cuts[0]
    end = follow({0: start}, links)[0]
    assert all(any(at in link for link in links) for at in range(start, end))
    assert not any(end in link for link in links)


@given(CUTS, st.data())
def test_committing_in_any_order_ends_at_the_same_offset(
    cuts: list[int], data: st.DataObject
) -> None:
    tiles = [OffsetRange(0, *pair) for pair in pairwise(cuts)]
    finished = data.draw(st.permutations(tiles))
    committed = {0: cuts[0]}
    for number in range(1, len(finished) + 1):
        further = follow(committed, finished[:number])
        assert further[0] >= committed[0]
        committed = further
    assert committed == {0: cuts[-1]}
