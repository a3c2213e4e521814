"""
Remote names: a pure, total function of pipeline and record.

Nothing here raises on a record's content and nothing reads a clock: any two runs over one record
name the same file, so a second delivery replaces and never adds.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from frameferry.domain.templates import FORBIDDEN, template_fields

COMPONENT_BYTES = 255
"""A file system's limit on one path component, in UTF-8 bytes."""
_HASH_CHARACTERS = 16
_KEPT_END_BYTES = 120
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{stem}{digit}" for stem in ("com", "lpt") for digit in "123456789¹²³"}
)
_LONGEST_SUFFIX = len("jpegxl")
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


def remote_name(template: str, fields: NameFields, zone: ZoneInfo) -> str:
    """
    Name the file of one record, relative to the pipeline's base.

    Characters that a file system, a server or the protocol could take amiss are written as
    `%XX` of their UTF-8 bytes. A name over 255 bytes keeps its beginning and end, with a digest
    between them. From generation 2 on the file's stem ends in `-g<generation>`.

    Args:
        template: As `check_template` lets through; two records of one pipeline then never share
            a name.
        fields: The record's; any content gives a name.
        zone: Of `{date}` and `{hour}`.
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
    if not dot or not suffix.isalnum() or len(suffix) > _LONGEST_SUFFIX:
        stem, suffix = source_name or "", ""
    return (stem or "record"), f".{suffix.lower()}" if suffix else ""


def _moment(timestamp_ms: int, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, tz=UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year in _YEARS else None


def _encoded(text: str) -> str:
    """Encode what is not plain, and every mark that would else settle on another text's end."""
    pieces = []
    after_plain = False
    for char in unicodedata.normalize("NFC", text):
        after_plain = _is_plain(char) and (after_plain or not _is_mark(char))
        pieces.append(char if after_plain else _percent(char))
    return "".join(pieces)


def _is_plain(char: str) -> bool:
    return char != "/" and char not in FORBIDDEN and unicodedata.category(char)[0] != "C"


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _component(part: str) -> str:
    """Make one component harmless: no dots or spaces at its edges, no reserved word, 255 bytes."""
    if part.startswith((".", "-", " ")):
        part = _percent(part[0]) + part[1:]
    if part.endswith((".", " ")):
        part = part[:-1] + _percent(part[-1])
    if part.split(".", 1)[0].rstrip(" ").lower() in _RESERVED:
        part = _percent(part[0]) + part[1:]
    return _shortened(unicodedata.normalize("NFC", part))


def _shortened(part: str) -> str:
    whole = part.encode()
    if len(whole) <= COMPONENT_BYTES:
        return part
    digest = hashlib.sha256(whole).hexdigest()[:_HASH_CHARACTERS]
    end = whole[-_KEPT_END_BYTES:].decode(errors="ignore")
    room = COMPONENT_BYTES - len(f"~{digest}~{end}".encode())
    return f"{whole[:room].decode(errors='ignore')}~{digest}~{end}"
