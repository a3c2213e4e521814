"""Free a blocked pipeline by a person's word."""

from __future__ import annotations

from frameferry.pipeline.context import Context


def unblock(ctx: Context, *, who: str) -> bool:
    """
    Lift the block and forget the refused log-in behind it, so that one more may be tried.

    Returns:
        Whether the pipeline was blocked.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    if known is None or known.blocked is None:
        return False
    if known.blocked.digest is not None:
        ctx.ledger.forget_refusal(known.blocked.digest)
    return ctx.ledger.unblock(ctx.pipeline, who=who)
