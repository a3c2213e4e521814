"""Name templates: what they may hold, so that no two records can share a name."""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

TIME_FIELDS = frozenset({"date", "year", "month", "day", "hour", "minute", "second", "timestamp"})
HEADER = "header"
FIELDS = TIME_FIELDS | {"stem", "suffix", "partition", "offset", "pipeline", "topic", "label"}
MAX_COMPONENTS = 8
"""Folders and file name below the base: each may take 255 bytes, a whole path 4096."""
MAX_HEADERS = 8
"""Different headers in one template: their values travel with every record."""
FORBIDDEN = frozenset('<>:"\\|?*%') | frozenset("\u2028\u2029")
"""Characters that a file system, a server or a person could misread."""
_NUMBERS = ("partition", "offset")
_FROM_OUTSIDE = frozenset({"stem", "label", HEADER})
_NUMBER_FORMAT = re.compile(r"(0[1-9]\d?)?d?")
_HEADER_FIELD = re.compile(r"header\[([^\[\]{}]{1,200})\]")


@dataclass(frozen=True, slots=True)
class Token:
    """
    A stretch of literal text, or one field. Exactly one of `text` and `field` is not empty.

    `detail` is a number's format, or the name of the header.
    """

    text: str = ""
    field: str = ""
    detail: str = ""


def check_template(template: str) -> None:
    """
    Refuse a template that could give two records one name, or a name that no server takes.

    Both partition and offset must be there, and each must be readable back from the name. So
    literal text must separate it from its neighbours, and at least one of its sides, within its
    folder or file name, must hold no text from outside (stem, label, header).

    Raises:
        ValueError: Says what is wrong with the template.
    """
    tokens = template_tokens(template)
    _refuse_literals(template, tokens)
    names = [token.field for token in tokens if token.field]
    if missing := [number for number in _NUMBERS if number not in names]:
        held = " and ".join(f"{{{number}}}" for number in missing)
        raise _wrong(template, f"must hold {held}, else two records share a name")
    if len(template_headers(template)) > MAX_HEADERS:
        raise _wrong(template, f"names more than {MAX_HEADERS} headers")
    readable = {number for component in _components(tokens) for number in _readable_in(component)}
    if blurred := [number for number in _NUMBERS if number not in readable]:
        raise _wrong(
            template,
            f"{{{blurred[0]}}} cannot be told from its neighbours, so two records could share a "
            "name; set it apart as in {stem}_{partition}-{offset:020d}{suffix}",
        )


def template_fields(template: str) -> frozenset[str]:
    """
    List the fields a name template uses; any header counts as `header`.

    Raises:
        ValueError: The template is malformed, or uses a field that does not exist.
    """
    return frozenset(token.field for token in template_tokens(template) if token.field)


def template_headers(template: str) -> tuple[str, ...]:
    """
    List the record headers a name template uses, each once, in order.

    Raises:
        ValueError: As for `template_fields`.
    """
    tokens = template_tokens(template)
    return tuple(dict.fromkeys(token.detail for token in tokens if token.field == HEADER))


@functools.lru_cache(maxsize=64)
def template_tokens(template: str) -> tuple[Token, ...]:
    """
    Take a template apart.

    Raises:
        ValueError: As for `template_fields`.
    """
    tokens: list[Token] = []
    try:
        for text, name, spec, conversion in string.Formatter().parse(template):
            tokens += [Token(text=text)] if text else []
            if name is not None:
                tokens.append(_field(name, f"{'!' if conversion else ''}{spec or ''}"))
    except ValueError as error:
        raise _wrong(template, str(error)) from error
    return tuple(tokens)


def _field(name: str, spec: str) -> Token:
    header = _HEADER_FIELD.fullmatch(name)
    if header is None and name not in FIELDS:
        known = ", ".join([*sorted(FIELDS), "header[NAME]"])
        msg = f"there is no field {{{name}}}; the fields are {known}"
        raise ValueError(msg)
    if name in _NUMBERS:
        if not _NUMBER_FORMAT.fullmatch(spec):
            msg = f"{{{name}:{spec}}} must be a decimal number as in {{{name}:020d}}"
            raise ValueError(msg)
    elif spec:
        msg = f"{{{name}}} takes no format; only partition and offset do, as in {{offset:020d}}"
        raise ValueError(msg)
    return Token(field=HEADER, detail=header[1]) if header else Token(field=name, detail=spec)


def _refuse_literals(template: str, tokens: Sequence[Token]) -> None:
    shape = "".join(token.text or "x" for token in tokens)
    for char in shape:
        if char in FORBIDDEN or unicodedata.category(char)[0] == "C":
            raise _wrong(template, f"the character {char!r} cannot stand in a file's name")
    components = [component for component in shape.split("/") if component]
    if any(component in {".", ".."} for component in components):
        raise _wrong(template, "must not hold the folders '.' or '..'")
    if len(components) > MAX_COMPONENTS:
        what = f"has {len(components)} levels of folders and file; {MAX_COMPONENTS} are allowed"
        raise _wrong(template, what)


def _components(tokens: Sequence[Token]) -> list[list[Token]]:
    """
    Cut tokens at the slashes, which text from outside never holds.

    If a component may be empty, and so be left out, nobody could count them: then the whole name is
    one piece.
    """
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.field:
            parts[-1].append(token)
            continue
        first, *others = token.text.split("/")
        parts[-1].append(Token(text=first))
        parts += [[Token(text=text)] for text in others]
    parts = [[token for token in component if token.text or token.field] for component in parts]
    can_be_empty = any(
        component and all(t.field == "suffix" for t in component) for component in parts
    )
    return [list(tokens)] if can_be_empty else [component for component in parts if component]


def _readable_in(tokens: Sequence[Token]) -> set[str]:
    return _readable(tokens) | _readable(tokens, backwards=True)


def _readable(tokens: Sequence[Token], *, backwards: bool = False) -> set[str]:
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


def _stands_apart(before: Sequence[Token], after: Sequence[Token]) -> bool:
    """Say whether a number's neighbours cannot be part of it; a suffix such as `.7` may follow."""
    left = before[-1].text[-1:] if before else "/"
    right = next((token.text[:1] for token in after if token.field != "suffix"), "/")
    return bool(left and right) and not left.isalnum() and left != "." and not right.isalnum()


def _wrong(template: str, what: str) -> ValueError:
    return ValueError(f"name template {template!r}: {what}")
