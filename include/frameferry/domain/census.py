"""Count and digest the offsets of the records that a read has met."""

from __future__ import annotations

import hashlib

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census


class CensusTaker:
    """
    Take the census of one range while it is read.

    `position` is the next offset to come: below it every record was met, or there is none.
    """

    def __init__(self, wanted: OffsetRange) -> None:
        self._wanted = wanted
        self._count = 0
        self._digest = hashlib.sha256()
        self.position = wanted.start

    @property
    def is_whole(self) -> bool:
        """Say whether the range was read to its end."""
        return self.position >= self._wanted.end

    def meet(self, offset: int) -> None:
        """
        Note one record of the range.

        Raises:
            ValueError: It lies outside the range, or before what was met already: then Kafka's
                client went back, and a census of it would be wrong.
        """
        if offset not in self._wanted or offset < self.position:
            msg = f"offset {offset} met at position {self.position} of {self._wanted}"
            raise ValueError(msg)
        self._digest.update(b"%d\n" % offset)
        self._count += 1
        self.position = offset + 1

    def reach(self, position: int) -> None:
        """Note that the read has come to *position*, with or without a record; never back."""
        self.position = max(self.position, position)

    def census(self) -> Census:
        """State what was met so far; `seen_to` is the range's end once that was reached."""
        return Census(
            partition=self._wanted.partition,
            start=self._wanted.start,
            end=self._wanted.end,
            seen_to=min(self.position, self._wanted.end),
            count=self._count,
            digest=self._digest.hexdigest(),
        )
