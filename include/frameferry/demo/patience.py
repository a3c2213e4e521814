"""How long to follow a demo: while it moves, and for long after; a busy machine is only slow."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

QUIET_SECONDS = 600.0
"""Give up after nothing moved for so long: neither the ledger nor a task of Airflow's."""
FRUITLESS_SECONDS = 3600.0
"""Give up after Airflow's tasks came and went for so long without anything new in the ledger."""


@dataclass
class Patience:
    """
    Notes what moved when.

    Args:
        clock: Seconds that only grow.
    """

    clock: Callable[[], float]
    _facts: Hashable = None
    _signs: Hashable = None
    _fact_at: float = field(init=False)
    _sign_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._fact_at = self._sign_at = self.clock()

    def note(self, facts: Hashable, signs: Hashable) -> None:
        """Look at the ledger's facts, and at signs that somebody works on the next one."""
        now = self.clock()
        if facts != self._facts:
            self._facts, self._fact_at = facts, now
        if signs != self._signs:
            self._signs, self._sign_at = signs, now

    @property
    def is_over(self) -> bool:
        """Say whether there is nothing more to wait for."""
        return self.why is not None

    @property
    def why(self) -> str | None:
        """Say why it is over, in a sentence; None while it is not."""
        now = self.clock()
        quiet, fruitless = now - max(self._fact_at, self._sign_at), now - self._fact_at
        if quiet >= QUIET_SECONDS:
            return f"Nothing has moved for {quiet:.0f} s, neither in the ledger nor in Airflow"
        if fruitless >= FRUITLESS_SECONDS:
            return (
                f"Airflow's tasks came and went for {fruitless:.0f} s, and the ledger stood still"
            )
        return None
