"""
Remote names: a pure, total function of pipeline and record.

Nothing here raises on a record's content and nothing reads a clock: any two runs over one record
name the same file, so a second delivery replaces and never adds.
"""

from __future__ import annotations

import hashlib
import string
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

FIELDS = frozenset(
    {"date", "hour", "stem", "suffix", "partition", "offset", "pipeline", "topic", "label"}
)
COMPONENT_BYTES = 255
"""A file system's limit on one path component, in UTF-8 bytes."""
_HASH_CHARACTERS = 10
_FORBIDDEN = frozenset('<>:"\\|?*%') | frozenset("\u2028\u2029")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{stem}{digit}" for stem in ("com", "lpt") for digit in range(1, 10)}
)
_YEARS = range(2000, 2101)


@dataclass(frozen=True, slots=True)
class NameFields:
    """All that a name may be made of."""

    pipeline: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    source_name: str | None
    label: str | None
    generation: int = 1


def template_fields(template: str) -> frozenset[str]:
    """
    List the fields a name template uses.

    Raises:
        ValueError: The template is malformed, or uses a field that does not exist.
    """
    try:
        parsed = list(string.Formatter().parse(template))
        names = {name for _, name, _, _ in parsed if name is not None}
        template.format(**{name: 0 if name in {"partition", "offset"} else "" for name in FIELDS})
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        unknown = f"field {error}" if isinstance(error, KeyError) else str(error)
        msg = f"name template {template!r}: {unknown}; the fields are {', '.join(sorted(FIELDS))}"
        raise ValueError(msg) from error
    return frozenset(names)


def remote_name(template: str, fields: NameFields, zone: ZoneInfo) -> str:
    """
    Name the file of one record, relative to the pipeline's base.

    Characters that a file system, a server or the protocol could take amiss are written as
    `%XX` of their UTF-8 bytes, so that two different source names never meet in one file name.
    From generation 2 on the file's stem ends in `-g<generation>`.
    """
    stem, suffix = _split(fields.source_name)
    moment = _moment(fields.timestamp_ms, zone)
    generation = "" if fields.generation == 1 else f"-g{fields.generation}"
    raw = template.format(
        date=moment.strftime("%Y-%m-%d") if moment else "undated",
        hour=moment.strftime("%H") if moment else "undated",
        stem=_encoded(stem),
        suffix=f"{generation}{_encoded(suffix)}",
        partition=fields.partition,
        offset=fields.offset,
        pipeline=fields.pipeline,
        topic=_encoded(fields.topic),
        label=_encoded(fields.label or "unjudged"),
    )
    if generation and "suffix" not in template_fields(template):
        raw += generation
    return "/".join(_component(part) for part in raw.split("/") if part)


def join_base(base: str, name: str) -> str:
    """Put a relative name under its base: one absolute path with single slashes."""
    return "/".join(["", *(part for part in f"{base}/{name}".split("/") if part)])


def _split(source_name: str | None) -> tuple[str, str]:
    stem, dot, suffix = (source_name or "").rpartition(".")
    if not dot or not suffix.isalnum() or len(suffix) > len("jpegxl"):
        stem, suffix = source_name or "", ""
    return (stem or "record"), f".{suffix.lower()}" if suffix else ""


def _moment(timestamp_ms: int, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, tz=UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year in _YEARS else None


def _encoded(text: str) -> str:
    normal = unicodedata.normalize("NFC", text)
    return "".join(char if _is_plain(char) else _percent(char) for char in normal)


def _is_plain(char: str) -> bool:
    return char != "/" and char not in _FORBIDDEN and unicodedata.category(char)[0] != "C"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _component(part: str) -> str:
    """Make one component harmless: no dots or spaces at its edges, no reserved word, 255 bytes."""
    if part.startswith((".", "-", " ")):
        part = _percent(part[0]) + part[1:]
    if part.endswith((".", " ")):
        part = part[:-1] + _percent(part[-1])
    if part.split(".", 1)[0].lower() in _RESERVED:
        part = _percent(part[0]) + part[1:]
    return _shortened(part)


def _shortened(part: str) -> str:
    if len(part.encode()) <= COMPONENT_BYTES:
        return part
    digest = hashlib.sha256(part.encode()).hexdigest()[:_HASH_CHARACTERS]
    keep_end = part[-60:].encode()[-120:].decode(errors="ignore")
    room = COMPONENT_BYTES - len(keep_end.encode()) - len(digest) - 2
    head = part.encode()[:room].decode(errors="ignore")
    return f"{head}~{digest}~{keep_end}"
