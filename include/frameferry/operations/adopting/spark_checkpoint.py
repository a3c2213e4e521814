"""
Read where Structured Streaming stopped, from its Spark checkpoint.

Spark writes `offsets/N`, the ends of batch N, before that batch, and `commits/N` after it. A batch
without a commit is run again over exactly its logged range. `sources/0/0` is where it all began.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from frameferry.domain.adoption import Origin
from frameferry.errors import ConfigError
from frameferry.operations.adopting.reading import (
    Topics,
    of_topic,
    read_bytes,
    read_json,
    topics_of,
)

_VERSION: Final = "v1"
_NO_OFFSET: Final = "-"
"""Spark's word for a source that has nothing yet."""
_CRC_HEAD: Final = b"crc\0"
_COPY: Final = "Copy the Spark checkpoint once more, whole, while its stream is stopped"


@dataclass(frozen=True, slots=True)
class _Batch:
    """The ends (exclusive) of a batch's ranges, by topic, and when it was planned."""

    ends: Topics
    planned_at: datetime | None


def read_spark_checkpoint(place: str, topic: str) -> Origin:
    """
    Find the last committed batch of a stream, and what it had planned beyond.

    A stream that died in its first batch stopped where it began.

    Args:
        place: A folder of this machine.
        topic: The one that is wanted of it.

    Raises:
        ConfigError: It is no Spark checkpoint, a damaged one, one of another version, or one of
            a stream that does not read one Kafka source, or not this topic.
    """
    folder = _folder(place)
    planned, committed = _numbers(folder / "offsets"), _numbers(folder / "commits")
    source = f"Spark checkpoint {place}"
    if not planned:
        msg = f"{source} is empty: its stream never planned a batch"
        raise ConfigError(msg, remedy="There is nothing to adopt: set kafka.start instead")
    last = max(committed, default=None)
    ends, others = of_topic(_last_ends(folder, planned, last), topic, source)
    newest = _batch(folder, max(planned))
    is_open = last is None or max(planned) > last
    return Origin(
        source=f"{source}, {_said(max(planned), last)}{_query(folder)}",
        offsets=ends,
        planned_to=of_topic(newest.ends, topic, source)[0] if is_open else {},
        planned_at=newest.planned_at,
        others=others,
    )


def _last_ends(folder: Path, planned: set[int], last: int | None) -> Topics:
    """Read where the last committed batch ended; without one, where the stream began."""
    if last is None:
        start = folder / "sources" / "0" / "0"
        if min(planned) > 0 or not start.exists():
            msg = f"{folder}: no batch was committed, and sources/0/0 does not say where it began"
            raise ConfigError(msg, remedy=_COPY)
        return _kafka(_lines(start)[1:], start)
    if last not in planned:
        msg = f"{folder}: batch {last} was committed, and offsets/{last} is missing"
        raise ConfigError(msg, remedy=_COPY)
    _lines(folder / "commits" / str(last))
    return _batch(folder, last).ends


def _said(newest: int, last: int | None) -> str:
    done = "no batch committed" if last is None else f"batch {last} committed"
    is_open = last is None or newest > last
    return f"{done}, batch {newest} planned and not committed" if is_open else done


def _query(folder: Path) -> str:
    """Name the stream by its id, which tells one Spark checkpoint from another."""
    try:
        found = json.loads((folder / "metadata").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f", query {found['id']}" if isinstance(found, dict) and "id" in found else ""


def _folder(place: str) -> Path:
    if "://" in place or place.startswith("dbfs:"):
        msg = f"{place} is not on this machine"
        remedy = "Stop its stream, copy the folder here (as by hadoop fs -get), and name the copy"
        raise ConfigError(msg, remedy=remedy)
    folder = Path(place)
    if not (folder / "offsets").is_dir():
        what = "has no folder offsets" if folder.is_dir() else "is no folder"
        msg = f"{place} is no Spark checkpoint: it {what}"
        raise ConfigError(msg, remedy="Name the stream's checkpointLocation")
    return folder


def _numbers(folder: Path) -> set[int]:
    """List the batches of a log; hidden files, and half-written ones, have other names."""
    try:
        return {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        msg = f"the Spark checkpoint cannot be read: {folder}: {error.strerror}"
        raise ConfigError(msg, remedy="Mend the right to read it") from None


def _batch(folder: Path, number: int) -> _Batch:
    path = folder / "offsets" / str(number)
    _, metadata, *sources = _lines(path, at_least=3)
    said = read_json(metadata.encode(), str(path)) if metadata else {}
    millis = said.get("batchTimestampMs") if isinstance(said, dict) else None
    at = datetime.fromtimestamp(millis / 1000, UTC) if isinstance(millis, int) and millis else None
    return _Batch(_kafka(sources, path), at)


def _kafka(sources: list[str], path: Path) -> Topics:
    """Take the offsets of the one source, which must be Kafka's."""
    if len(sources) != 1:
        msg = f"{path}: the stream reads {len(sources)} sources"
        raise ConfigError(msg, remedy="Give one source's offsets by --offsets instead")
    if sources[0] == _NO_OFFSET:
        msg = f"{path}: the stream had read nothing yet"
        raise ConfigError(msg, remedy="There is nothing to adopt: set kafka.start instead")
    try:
        return topics_of(read_json(sources[0].encode(), str(path)), str(path))
    except ConfigError as error:
        msg = f"the stream's source is not Kafka, or its file is damaged: {error.what}"
        raise ConfigError(msg, remedy=_COPY) from None


def _lines(path: Path, *, at_least: int = 2) -> list[str]:
    """Read a file of a log: its version, then its lines; the first one's zero byte is left out."""
    data = read_bytes(path, "the file")
    _refuse_damaged(path, data)
    try:
        lines = data.removeprefix(b"\0").decode().rstrip("\n").split("\n")
    except UnicodeDecodeError:
        lines = []
    if lines and lines[0] != _VERSION and lines[0].removeprefix("v").isdecimal():
        msg = f"{path} is of version {lines[0]}; only {_VERSION} can be read"
        raise ConfigError(msg, remedy="Give its offsets by --offsets instead")
    if lines[:1] != [_VERSION] or len(lines) < at_least:
        msg = f"{path} is damaged: it does not hold what Spark writes there"
        raise ConfigError(msg, remedy=_COPY)
    return lines


def _refuse_damaged(path: Path, data: bytes) -> None:
    """Compare with the CRC-32 of each block, which Hadoop keeps in a hidden file, where it does."""
    beside = path.with_name(f".{path.name}.crc")
    if not beside.is_file():
        return
    kept = read_bytes(beside, "the file")
    if len(kept) < 2 * len(_CRC_HEAD) or not kept.startswith(_CRC_HEAD):
        return
    (block,) = struct.unpack(">I", kept[4:8])
    blocks = range(0, len(data), block) if block else ()
    found = b"".join(struct.pack(">I", zlib.crc32(data[at : at + block])) for at in blocks)
    if found != kept[8:]:
        msg = f"{path} is damaged: it does not fit {beside.name}"
        raise ConfigError(msg, remedy=_COPY)
