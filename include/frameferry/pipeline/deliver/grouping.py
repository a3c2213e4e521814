"""Cut a stream of pictures into groups, each staged, intended, renamed and receipted as one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from frameferry.domain.records import Consignment

GROUP_RECORDS = 200
Item = tuple[Consignment, bytes]


class Group:
    """
    The next *count* items of a stream, drawn once; fewer if it ends before.

    The last group draws the stream to its end, so that what follows its last item is looked at
    before the group is published.
    """

    def __init__(self, items: Iterator[Item], count: int, *, is_last: bool) -> None:
        self._items = islice(items, None if is_last else count)
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __length_hint__(self) -> int:
        return self._count


def groups(items: Iterator[Item], count: int) -> Iterator[Group]:
    """Cut *count* items into groups; draw each before asking for the next."""
    for start in range(0, count, GROUP_RECORDS):
        left = count - start
        yield Group(items, min(GROUP_RECORDS, left), is_last=left <= GROUP_RECORDS)
