"""What another system planned as one batch is cut into bounded ones, and nothing is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frameferry.domain.offsets import OffsetRange
from frameferry.planning.carrying import cut_carried
from frameferry.planning.sizing import FIRST_OFFSETS, Budget

MOST_RECORDS = 5_000
ranges_of_a_batch = st.dictionaries(
    st.integers(0, 20),
    st.tuples(st.integers(0, 2**40), st.integers(1, 20_000)),
    max_size=8,
).map(lambda found: [OffsetRange(at, start, start + n) for at, (start, n) in found.items()])
budgets = st.builds(
    Budget,
    max_records=st.integers(50, MOST_RECORDS),
    max_bytes=st.just(10**9),
    target_seconds=st.just(60.0),
    largest_record_bytes=st.sampled_from([None, 10**6, 10**7]),
)


@given(ranges_of_a_batch, budgets)
def test_batches_tile_the_ranges_each_within_its_bounds(ranges, budget):
    batches = cut_carried(ranges, budget)
    reached = {one.partition: one.start for one in ranges}
    for batch in batches:
        offsets = sum(one.length for one in batch)
        assert 0 < offsets <= budget.max_records
        assert offsets * (budget.largest_record_bytes or 0) <= budget.max_bytes
        for one in batch:
            assert reached[one.partition] == one.start
            reached[one.partition] = one.end
    assert {one.partition: one.end for one in ranges} == reached
    if batches:
        assert sum(one.length for one in batches[0]) <= FIRST_OFFSETS
