"""Free a blocked pipeline by a person's word."""

from __future__ import annotations

from frameferry.pipeline.context import Context
from frameferry.pipeline.lease import LEASE_SECONDS


def unblock(ctx: Context, *, who: str, judge_again: bool = False) -> bool:
    """
    Lift the block and forget the refused log-in behind it, so that one more may be tried.

    Args:
        ctx: The pipeline.
        who: The person, for the record.
        judge_again: Take back what the judge said of batches that are not delivered yet: for
            quarantines that were not the images' fault. Otherwise they stand.

    Returns:
        Whether the pipeline was blocked.

    Raises:
        BatchOwned: A task still holds one of the batches to be judged again.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    if known is None or known.blocked is None:
        return False
    if judge_again:
        for leaf in known.open_batches:
            if leaf.inferred and not leaf.finished:
                _take_back(ctx, leaf.id, who)
    if known.blocked.digest is not None:
        ctx.ledger.forget_refusal(known.blocked.digest)
    return ctx.ledger.unblock(ctx.pipeline, who=who)


def _take_back(ctx: Context, batch_id: int, who: str) -> None:
    destination = ctx.ftp.destination
    batch = ctx.ledger.claim(batch_id, owner=ctx.owner, lease_seconds=LEASE_SECONDS)
    place = ctx.delivering_into(batch.into)
    ctx.ledger.judge_again(
        batch.token,
        destination=destination,
        base=place.settings.deliver.base,
        why=f"{who} had it judged again",
    )
    ctx.ledger.release(batch.token)
