"""Quarantine: what a person selects of it, looks at, and resolves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from frameferry.domain.keeping import SetAside
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import sha256_hex
from frameferry.domain.selection import OneRecord, Quarantined, read_record, reason_of
from frameferry.errors import ConfigError, OffsetsLost, RecordChanged, Where
from frameferry.operations.replay import ReplayPlan, plan_replay
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.keeping import read_copy

_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}$")


@dataclass(frozen=True, slots=True)
class Look:
    """The bytes of a picture in quarantine, and where they were found."""

    value: bytes
    found_in: Literal["kept copy", "Kafka"]
    sha256: str
    source_name: str | None


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


def retry(ctx: Context, what: OneRecord | Quarantined, *, dry_run: bool, who: str) -> ReplayPlan:
    """
    Plan to judge pictures in quarantine again; see `plan_replay`. A resolved one may be named.

    Raises:
        ConfigError: A record is not in quarantine, or nothing is there for that reason.
    """
    if isinstance(what, OneRecord):
        _set_aside(ctx, what)
    return plan_replay(ctx, what, mode="reinfer", dry_run=dry_run, who=who)


def look(ctx: Context, record: OneRecord) -> Look:
    """
    Read the bytes of a picture in quarantine, open or resolved: its kept copy, or Kafka's record.

    Raises:
        ConfigError: It is not in quarantine.
        OffsetsLost: Kafka no longer holds it, and there is no kept copy here.
        RecordChanged: Kafka holds other bytes than were judged.
        KafkaUnavailable, TopicMissing: Kafka was asked, and did not answer.
    """
    one = _set_aside(ctx, record)
    kept = read_copy(ctx.pipeline, one)
    if kept is not None:
        return Look(kept, "kept copy", one.sha256, one.source_name)
    return Look(_from_kafka(ctx, one), "Kafka", one.sha256, one.source_name)


def save(ctx: Context, record: OneRecord, found: Look, to: Path) -> Path:
    """
    Write a picture's bytes to a new file; into a folder under a name of its own.

    Raises:
        ConfigError: There is such a file already, or it cannot be written.
    """
    suffix = _SUFFIX.search(found.source_name or "")
    name = f"{ctx.pipeline}-{record.partition}-{record.offset}{suffix.group() if suffix else ''}"
    file = to / name if to.is_dir() else to
    try:
        with file.open("xb") as opened, _unlinked_on_error(file):
            opened.write(found.value)
            opened.flush()
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror or error}"
        raise ConfigError(msg, remedy="Name another place", pipeline=ctx.pipeline) from error
    return file


def _set_aside(ctx: Context, record: OneRecord) -> SetAside:
    one = ctx.ledger.set_aside_at(ctx.pipeline, record.partition, record.offset)
    if one is None:
        msg = f"{record} is not in quarantine"
        remedy = f"See: frameferry quarantine {ctx.pipeline} --all"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)
    return one


@contextmanager
def _unlinked_on_error(file: Path) -> Iterator[None]:
    """Delete a file that is not whole."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _from_kafka(ctx: Context, one: SetAside) -> bytes:
    place = one.place
    where = Where(pipeline=ctx.pipeline, partition=place.partition, offset=place.offset)
    try:
        reader = ctx.reader(OffsetRange(place.partition, place.offset, place.offset + 1))
        values = [record.value for record in reader]
    except OffsetsLost:
        values = []
    if not values:
        msg = "Kafka no longer holds this picture, and no copy of it was kept here"
        if one.kept_copy is not None:
            msg = (
                f"Kafka no longer holds this picture; its copy {one.kept_copy} is not in this home"
            )
        remedy = f"See: frameferry quarantine {ctx.pipeline}; later ones: quarantine.keep_bytes"
        raise OffsetsLost(msg, remedy=remedy, **where)
    [value] = values
    if sha256_hex(value) != one.sha256:
        msg = "Kafka holds other bytes than were judged"
        remedy = "Was its log truncated, or the topic created anew? See: frameferry status"
        raise RecordChanged(msg, remedy=remedy, **where)
    return value
