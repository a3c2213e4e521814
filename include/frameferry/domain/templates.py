"""Name templates: what they may hold, so that no two records can share a name."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

FIELDS = frozenset(
    {"date", "hour", "stem", "suffix", "partition", "offset", "pipeline", "topic", "label"}
)
MAX_COMPONENTS = 8
"""Folders and file name below the base: each may take 255 bytes, a whole path 4096."""
FORBIDDEN = frozenset('<>:"\\|?*%') | frozenset("\u2028\u2029")
"""Characters that a file system, a server or a person could take amiss."""
_NUMBERS = ("partition", "offset")
_FROM_OUTSIDE = frozenset({"stem", "label"})
_NUMBER_FORMAT = re.compile(r"(0[1-9]\d?)?d?")


@dataclass(frozen=True, slots=True)
class _Token:
    """A stretch of literal text, or one field. Exactly one of the two is not empty."""

    text: str = ""
    field: str = ""


def check_template(template: str) -> None:
    """
    Refuse a template that could give two records one name, or a name that no server takes.

    Partition and offset must both be there, and each must be readable back from the name: told
    from its neighbours by literal text, and with no text that comes from outside (stem, label)
    on at least one of its sides.

    Raises:
        ValueError: Says what is wrong with the template.
    """
    tokens = _tokens(template)
    _refuse_literals(template, tokens)
    names = [token.field for token in tokens if token.field]
    if missing := [number for number in _NUMBERS if number not in names]:
        held = " and ".join(f"{{{number}}}" for number in missing)
        raise _wrong(template, f"must hold {held}, else two records share a name")
    readable = _readable(tokens) | _readable(tokens, backwards=True)
    if blurred := [number for number in _NUMBERS if number not in readable]:
        raise _wrong(
            template,
            f"{{{blurred[0]}}} cannot be told from its neighbours, so two records could share a "
            "name; set it apart as in {stem}_{partition}-{offset:020d}{suffix}",
        )


def template_fields(template: str) -> frozenset[str]:
    """
    List the fields a name template uses.

    Raises:
        ValueError: The template is malformed, or uses a field that does not exist.
    """
    return frozenset(token.field for token in _tokens(template) if token.field)


def _tokens(template: str) -> list[_Token]:
    tokens: list[_Token] = []
    try:
        for text, name, spec, conversion in string.Formatter().parse(template):
            tokens += [_Token(text=text)] if text else []
            if name is not None:
                _refuse_field(name, f"{'!' if conversion else ''}{spec or ''}")
                tokens.append(_Token(field=name))
    except ValueError as error:
        raise _wrong(template, str(error)) from error
    return tokens


def _refuse_field(name: str, spec: str) -> None:
    if name not in FIELDS:
        msg = f"there is no field {{{name}}}; the fields are {', '.join(sorted(FIELDS))}"
        raise ValueError(msg)
    if name in _NUMBERS and not _NUMBER_FORMAT.fullmatch(spec):
        msg = f"{{{name}:{spec}}} must be a decimal number as in {{{name}:020d}}"
        raise ValueError(msg)
    if name not in _NUMBERS and spec:
        msg = f"{{{name}}} takes no format; only partition and offset do, as in {{offset:020d}}"
        raise ValueError(msg)


def _refuse_literals(template: str, tokens: Sequence[_Token]) -> None:
    shape = "".join(token.text or "x" for token in tokens)
    for char in shape:
        if char in FORBIDDEN or unicodedata.category(char)[0] == "C":
            raise _wrong(template, f"the character {char!r} cannot stand in a file's name")
    components = [part for part in shape.split("/") if part]
    if any(part in {".", ".."} for part in components):
        raise _wrong(template, "must not hold the folders '.' or '..'")
    if len(components) > MAX_COMPONENTS:
        what = f"has {len(components)} levels of folders and file; {MAX_COMPONENTS} are allowed"
        raise _wrong(template, what)


def _readable(tokens: Sequence[_Token], *, backwards: bool = False) -> set[str]:
    """List the numbers that can be read from this end of the name, before text from outside."""
    found: set[str] = set()
    stops = _FROM_OUTSIDE if backwards else _FROM_OUTSIDE | {"suffix"}
    for place in reversed(range(len(tokens))) if backwards else range(len(tokens)):
        field = tokens[place].field
        if field in stops:
            break
        if field in _NUMBERS and _stands_apart(tokens[:place], tokens[place + 1 :]):
            found.add(field)
    return found


def _stands_apart(before: Sequence[_Token], after: Sequence[_Token]) -> bool:
    """Say whether a number's neighbours can be no part of it; a suffix such as `.7` may follow."""
    left = before[-1].text[-1:] if before else "/"
    right = next((token.text[:1] for token in after if token.field != "suffix"), "/")
    return bool(left and right) and not left.isalnum() and left != "." and not right.isalnum()


def _wrong(template: str, what: str) -> ValueError:
    return ValueError(f"name template {template!r}: {what}")
