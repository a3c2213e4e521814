"""A record's headers as text: the same however the record is read."""

from __future__ import annotations

import hashlib

HEADER_BYTES = 512
"""More than a name can hold; it travels with every record's row."""
_HASH_CHARACTERS = 16
_KEPT_END_BYTES = 120


def header_text(value: bytes | str | None) -> str | None:
    """
    Read a header's value as text; None if it is missing or null.

    Total: any bytes give a text that every database can hold. What is not UTF-8, and the NUL
    character, becomes U+FFFD. A value over 512 bytes keeps its beginning and its end, with a digest
    between them, so that different values stay different.
    """
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return _bounded(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _bounded(text: str) -> str:
    whole = text.encode("utf-8", "surrogatepass")
    if len(whole) <= HEADER_BYTES:
        return text
    digest = hashlib.sha256(whole).hexdigest()[:_HASH_CHARACTERS]
    end = whole[-_KEPT_END_BYTES:].decode(errors="ignore")
    room = HEADER_BYTES - len(f"~{digest}~{end}".encode())
    return f"{whole[:room].decode(errors='ignore')}~{digest}~{end}"
