"""Confirm, on a person's word, that a ledger whose mirror is gone is the newest."""

from __future__ import annotations

import structlog

from frameferry.errors import ConfigError, WitnessMissing
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import witness, world

log = structlog.get_logger()


def confirm(ctx: Context, *, who: str, reason: str) -> dict[int, int]:
    """
    Write the mirror anew, on a person's word that the ledger is not an older copy.

    Returns:
        The committed (next) offset of each partition, as mirrored.

    Raises:
        ConfigError: No reason is given; or the mirror is where it should be.
        LedgerOutdated: The ledger is known to be an older copy: it is recovered instead.
        KafkaUnavailable, TopicChanged: Nobody can say what the mirror holds.
    """
    if not reason.strip():
        msg = "a reason is needed: it is kept with your name"
        raise ConfigError(msg, remedy="Say it with --reason", pipeline=ctx.pipeline)
    world.observe(ctx)
    trouble = witness.objection(ctx)
    if trouble is None:
        msg = "the mirror is in its place, and has nothing against the ledger"
        raise ConfigError(msg, remedy="There is nothing to confirm", pipeline=ctx.pipeline)
    if not isinstance(trouble, WitnessMissing):
        raise trouble
    ctx.ledger.record_confirmation(ctx.pipeline, who=who, reason=reason)
    mirrored = witness.vouch(ctx)
    log.warning("ledger.confirmed", pipeline=ctx.pipeline, who=who, mirrored=mirrored)
    return mirrored
