"""Cut a stream of pictures into groups, each staged, intended, renamed and receipted as one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from frameferry.domain.records import Consignment

GROUP_RECORDS = 200
Item = tuple[Consignment, bytes]


class Group:
    """
    The next so many items of a stream, drawn once; fewer where it ends before.

    The last one draws the stream to its end: what follows the last item is looked at before the
    group is published.
    """

    def __init__(self, items: Iterator[Item], count: int, *, is_last: bool) -> None:
        self._items = islice(items, None if is_last else count)
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __length_hint__(self) -> int:
        return self._count


def groups(items: Iterator[Item], count: int) -> Iterator[Group]:
    """Cut *count* items into groups, each to be drawn before the next is asked for."""
    for start in range(0, count, GROUP_RECORDS):
        left = count - start
        yield Group(items, min(GROUP_RECORDS, left), is_last=left <= GROUP_RECORDS)
