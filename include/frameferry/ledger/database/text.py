"""Text from outside, made fit for a database."""

from __future__ import annotations

from typing import Final, overload

from frameferry.domain.records import sha256_hex

NAME_CHARACTERS: Final = 300
"""More than the longest name of an Airflow run."""
_DIGEST_CHARACTERS: Final = 8


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """Replace what a database's text cannot hold: NUL characters and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def signature(who: str) -> str:
    """
    Write a person's name so that it may be stored and shown: one line, of bounded length.

    Characters that are invisible, or reverse others, are escaped. A long name is cut and gets a
    digest of the whole, so that two persons stay two.
    """
    name = "".join(map(_shown, who)).strip()
    if len(name) <= NAME_CHARACTERS:
        return name
    digest = sha256_hex(name.encode())[:_DIGEST_CHARACTERS]
    return f"{name[: NAME_CHARACTERS - _DIGEST_CHARACTERS - 2]}… {digest}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
