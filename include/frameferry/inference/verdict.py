"""What a worker's row says of one picture."""

from __future__ import annotations

from dataclasses import dataclass

from frameferry.domain.columns import Said


@dataclass(frozen=True, slots=True)
class Verdict(Said):
    """
    What the judge says of one picture: a label, or a reason why not.

    `reason` (one of `undecodable.Reason`) is set exactly when there is no label; `detail` then says
    more. Beside a label, `detail` is a remark on the picture, mostly None.
    """

    reason: str | None = None
    detail: str | None = None
