"""Record headers as names."""

from __future__ import annotations

from collections.abc import Iterable


def source_name(
    headers: Iterable[tuple[str, bytes | str | None]] | None, wanted: str
) -> str | None:
    """
    Read the header *wanted* as a file name; None where it is missing or null.

    Total: any bytes give a name that every database can hold. What is no UTF-8, and the NUL
    character, becomes U+FFFD. Of a header that occurs twice the first counts, as on Spark's side.
    """
    value = next((value for key, value in headers or () if key == wanted), None)
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
