"""
Remote names: a pure, total function of pipeline and record.

Nothing here raises on a record's content and nothing reads a clock: any two runs over one record
name the same file, so a second delivery replaces and never adds.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from frameferry.domain.templates import FORBIDDEN, HEADER, Token, template_tokens

Illegal = Literal["encode", "replace", "hash", "reject"]
"""What becomes of text that cannot stand in a file's name as it is."""
COMPONENT_BYTES = 255
"""A file system's limit on one path component, in UTF-8 bytes."""
_HASH_CHARACTERS = 16
_KEPT_END_BYTES = 120
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{stem}{digit}" for stem in ("com", "lpt") for digit in "123456789¹²³"}
)
_PART_END = ".part"
_LONGEST_SUFFIX = len("jpegxl")
_YEARS = range(2000, 2101)
_UNDATED = "undated"
_UNSET = "unset"


@dataclass(frozen=True, slots=True)
class NameFields:
    """All that a name may be made of. `headers` are those that the template names."""

    pipeline: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    source_name: str | None
    label: str | None
    generation: int = 1
    headers: tuple[tuple[str, str], ...] = ()


def remote_name(
    template: str, fields: NameFields, zone: ZoneInfo, illegal: Illegal = "encode"
) -> str:
    """
    Name the file of one record, relative to the pipeline's base.

    Characters that a file system, a server or the protocol could misread are written as *illegal*
    says: as `%XX` of their UTF-8 bytes (`encode`), as `_` (`replace`), or the text that holds one
    becomes its digest (`hash`). For a record that is rejected (`reject`), the encoded name is where
    it would lie. A name over 255 bytes keeps its beginning and end, with a digest between them.
    From generation 2 on the file's stem ends in `-g<generation>`.

    Args:
        template: As `check_template` lets through; two records of one pipeline then never share
            a name.
        fields: The record's; any content gives a name.
        zone: Of `{date}` and the other times.
        illegal: What becomes of text that cannot stand as it is.
    """
    spelling = _SPELLINGS[illegal]
    raw = _rendered(template, fields, zone, spelling.text)
    return "/".join(_component(component, spelling) for component in raw.split("/") if component)


def name_flaw(template: str, fields: NameFields, zone: ZoneInfo) -> str | None:
    """Say why a record cannot have the name that it asks for; None if it can."""
    for what, text in _outside(template, fields):
        if _encoded(text) != unicodedata.normalize("NFC", text):
            return f"the {what} {text[:200]!r} holds a character that cannot stand in a file's name"
    wanted = _rendered(template, fields, zone, lambda text: unicodedata.normalize("NFC", text))
    for component in wanted.split("/"):
        if component and _component(component, _SPELLINGS["reject"]) != unicodedata.normalize(
            "NFC", component
        ):
            return (
                f"{component[:200]!r} is over {COMPONENT_BYTES} bytes, a word that Windows "
                "reserves, begins or ends with a character that it must not, or ends in .part"
            )
    return None


def join_base(base: str, name: str) -> str:
    """Put a relative name under its base: one absolute path with single slashes."""
    return "/".join(["", *(component for component in f"{base}/{name}".split("/") if component)])


def _rendered(
    template: str, fields: NameFields, zone: ZoneInfo, spell: Callable[[str], str]
) -> str:
    stem, suffix = _split(fields.source_name)
    generation = "" if fields.generation == 1 else f"-g{fields.generation}"
    values = {
        **_times(fields.timestamp_ms, zone),
        "stem": spell(stem),
        "suffix": f"{generation}{_encoded(suffix)}",
        "pipeline": fields.pipeline,
        "topic": spell(fields.topic),
        "label": spell(fields.label or "unjudged"),
    }
    tokens = template_tokens(template)
    raw = "".join(_written(token, fields, values, spell) for token in tokens)
    return raw if any(token.field == "suffix" for token in tokens) else f"{raw}{generation}"


def _written(
    token: Token, fields: NameFields, values: dict[str, str], spell: Callable[[str], str]
) -> str:
    match token.field:
        case "":
            return token.text
        case "partition":
            return format(fields.partition, token.detail)
        case "offset":
            return format(fields.offset, token.detail)
        case field if field == HEADER:
            return spell(dict(fields.headers).get(token.detail) or _UNSET)
        case field:
            return values[field]


def _outside(template: str, fields: NameFields) -> list[tuple[str, str]]:
    """List the texts from outside that a template uses, each with its word."""
    headers = dict(fields.headers)
    found = []
    for token in template_tokens(template):
        match token.field:
            case "stem" | "suffix":
                found.append(("source name", fields.source_name or ""))
            case "label":
                found.append(("label", fields.label or ""))
            case field if field == HEADER:
                found.append((f"header {token.detail!r}", headers.get(token.detail, "")))
    return found


def _times(timestamp_ms: int, zone: ZoneInfo) -> dict[str, str]:
    """Write the record's Kafka timestamp in every form that a template may ask for."""
    moment = _moment(timestamp_ms, zone)
    if moment is None:
        return dict.fromkeys(_TIME_FORMATS, _UNDATED) | {"timestamp": _UNDATED}
    written = {field: moment.strftime(form) for field, form in _TIME_FORMATS.items()}
    return written | {"timestamp": f"{moment:%Y%m%dT%H%M%S}{timestamp_ms % 1000:03d}"}


_TIME_FORMATS = {
    "date": "%Y-%m-%d",
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
}


def _split(source_name: str | None) -> tuple[str, str]:
    stem, dot, suffix = (source_name or "").rpartition(".")
    if not dot or not suffix.isalnum() or len(suffix) > _LONGEST_SUFFIX:
        stem, suffix = source_name or "", ""
    return (stem or "record"), f".{suffix.lower()}" if suffix else ""


def _moment(timestamp_ms: int, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromtimestamp(timestamp_ms // 1000, tz=UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year in _YEARS else None


def _encoded(text: str) -> str:
    """Encode what is not plain, and each mark that would otherwise settle on another text's end."""
    return _spelled(text, _percent)


def _replaced(text: str) -> str:
    return _spelled(text, lambda _: "_")


def _hashed(text: str) -> str:
    """Replace a text that is not plain throughout by its digest."""
    whole = unicodedata.normalize("NFC", text)
    if _encoded(text) == whole:
        return whole
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]


def _spelled(text: str, spell: Callable[[str], str]) -> str:
    pieces = []
    after_plain = False
    for char in unicodedata.normalize("NFC", text):
        after_plain = _is_plain(char) and (after_plain or not _is_mark(char))
        pieces.append(char if after_plain else spell(char))
    return "".join(pieces)


def _is_plain(char: str) -> bool:
    return char != "/" and char not in FORBIDDEN and unicodedata.category(char)[0] != "C"


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


class _Spelling(NamedTuple):
    """How a text from outside is written, and a character at the edge of a component."""

    text: Callable[[str], str]
    edge: Callable[[str], str]


_SPELLINGS: dict[Illegal, _Spelling] = {
    "encode": _Spelling(_encoded, _percent),
    "replace": _Spelling(_replaced, lambda _: "_"),
    "hash": _Spelling(_hashed, lambda _: "_"),
    "reject": _Spelling(_encoded, _percent),
}


def _component(component: str, spelling: _Spelling) -> str:
    """
    Make one component harmless: no dots or spaces at its edges, no reserved word, 255 bytes.

    It never ends like a part: consumers would pass it over, and a sweep could take it for one.
    """
    if component.startswith((".", "-", " ")):
        component = spelling.edge(component[0]) + component[1:]
    if component.endswith((".", " ")):
        component = component[:-1] + spelling.edge(component[-1])
    if component.lower().endswith(_PART_END):
        component = (
            component[: -len(_PART_END)] + spelling.edge(".") + component[1 - len(_PART_END) :]
        )
    if component.split(".", 1)[0].rstrip(" ").lower() in _RESERVED:
        component = spelling.edge(component[0]) + component[1:]
    return _shortened(unicodedata.normalize("NFC", component))


def _shortened(component: str) -> str:
    whole = component.encode()
    if len(whole) <= COMPONENT_BYTES:
        return component
    digest = hashlib.sha256(whole).hexdigest()[:_HASH_CHARACTERS]
    end = whole[-_KEPT_END_BYTES:].decode(errors="ignore")
    room = COMPONENT_BYTES - len(f"~{digest}~{end}".encode())
    return f"{whole[:room].decode(errors='ignore')}~{digest}~{end}"
