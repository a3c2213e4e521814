"""What the ledger shows: schema, rights, clock, room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from frameferry.domain.signs import Answer, fine, warning, wrong
from frameferry.ledger.upkeep.surveying import LedgerFitness
from frameferry.operations.doctor.clocks import compared
from frameferry.operations.doctor.machine import room
from frameferry.operations.upkeep import ledger_fitness

_MANY: Final = 3
"""Tables to name where rights are missing."""


def ledger() -> Iterator[Answer]:
    """Look at the ledger; nothing is made and nothing upgraded."""
    before = datetime.now(UTC)
    found = ledger_fitness()
    if found is None:
        yield warning("there is none yet", "The first run makes it, or: frameferry ledger upgrade")
        return
    yield _schema(found)
    if found.lacks:
        named = ", ".join(found.lacks[:_MANY]) + (" and more" if len(found.lacks) > _MANY else "")
        remedy = "Grant what docs/operations.md, section Accounts of the ledger, lists"
        yield wrong(f"this account may not {named}", remedy)
    if found.state.to_recover:
        names = " ".join(found.state.to_recover)
        yield warning(f"it was restored: {names}", f"Run: frameferry ledger recover {names}")
    if found.state.database != "sqlite":
        yield compared(found.now, before, datetime.now(UTC), whose="the database's clock")
    if found.folder is not None:
        yield from room(found.folder)


def _schema(found: LedgerFitness) -> Answer:
    state = found.state
    seen = f"{state.database}, schema {state.version}"
    if state.version == state.newest_version:
        return fine(f"{seen}, {state.pipelines} pipelines, {state.batches:,} batches")
    if found.is_known:
        return warning(
            f"{seen}, this program's is {state.newest_version}", "Run: frameferry ledger upgrade"
        )
    remedy = "Use the Frameferry that made it, or a newer one"
    return wrong(f"{seen}, this program knows up to {state.newest_version}", remedy)
