"""From what a person filled in to what is wished of an audit: each mistake is one clear line."""

from __future__ import annotations

from typing import Final

from frameferry.domain.selection import Window, read_moment
from frameferry.errors import ConfigError
from frameferry.operations.audit.auditing import Wish

MAX_SAMPLE: Final = 10_000
"""Each is a whole picture, read back."""
_LATEST: Final = 253_402_300_799_999
"""The last moment that a calendar has, in milliseconds since 1970."""


def wished(
    *,
    since: str | None,
    until: str | None,
    sample: int,
    with_kafka: bool,
    recount: bool,
    repair: bool,
    reinfer_quarantined: bool,
    dry_run: bool,
) -> Wish:
    """
    Make a wish of what a person filled in.

    Raises:
        ConfigError: A moment is none, or has no zone; the sample is out of its bounds; or an option
            has no meaning without another, or beside it.
    """
    start = None if since is None else read_moment(since)
    end = None if until is None else read_moment(until)
    if start is not None or end is not None:
        Window(start or 0, _LATEST if end is None else end)
    if not 0 <= sample <= MAX_SAMPLE:
        msg = f"--sample {sample}: a sample is of 0 to {MAX_SAMPLE:,} files"
        raise ConfigError(msg, remedy="Give a number between them")
    _refuse(recount and not with_kafka, "--recount reads Kafka, and --without-kafka forbids it")
    _refuse(repair and not with_kafka, "--repair reads Kafka, and --without-kafka forbids it")
    _refuse(dry_run and not repair, "--dry-run is of --repair: an audit alone changes nothing")
    _refuse(reinfer_quarantined and not repair, "--reinfer-quarantined is of --repair")
    return Wish(start, end, sample, with_kafka, recount)


def _refuse(is_wrong: bool, what: str) -> None:  # noqa: FBT001 - a condition
    if is_wrong:
        raise ConfigError(what, remedy="Leave one of them out, or add the other")
