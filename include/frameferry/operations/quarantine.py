"""Quarantine: what a person selects of it, and how it is resolved."""

from __future__ import annotations

from frameferry.domain.selection import OneRecord, Quarantined, read_record, reason_of
from frameferry.errors import ConfigError
from frameferry.pipeline.context import Context


def picked(*, record: str | None, reason: str | None) -> OneRecord | Quarantined:
    """
    Make a selection of what lies in quarantine from what a person gave: exactly one of the two.

    Args:
        record: One record, as `partition:offset`.
        reason: All that are there for one reason.

    Raises:
        ConfigError: None is given, or both, or one cannot be read.
    """
    if record is not None and reason is None:
        return read_record(record)
    if reason is not None and record is None:
        return reason_of(reason)
    msg = "both a record and a reason are given" if record else "neither record nor reason is given"
    raise ConfigError(msg, remedy="Give one of --record PARTITION:OFFSET and --reason REASON")


def resolve(ctx: Context, what: OneRecord | Quarantined, *, because: str, who: str) -> int:
    """
    Say that nothing more is to be done about pictures in quarantine; says how many those are.

    Raises:
        ConfigError: No words are given, or nothing open matches.
    """
    if not because.strip():
        msg = "words are needed: they are kept with your name"
        raise ConfigError(msg, remedy="Say it with --because", pipeline=ctx.pipeline)
    return ctx.ledger.resolve_quarantined(ctx.pipeline, what, because=because.strip(), who=who)
