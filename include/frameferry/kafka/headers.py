"""Record headers as texts for names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from frameferry.domain.headers import header_text

Headers = Iterable[tuple[str, bytes | str | None]]


def source_name(headers: Headers | None, wanted: str) -> str | None:
    """
    Read the header *wanted* as a file name; None if it is missing or null.

    If a header occurs twice, the first counts, as on Spark's side.
    """
    return header_text(next((value for key, value in headers or () if key == wanted), None))


def named_headers(headers: Headers | None, wanted: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read the headers *wanted*, as `source_name` does; leave out missing or null ones."""
    held = list(headers or ())
    found = [(name, source_name(held, name)) for name in wanted]
    return tuple((name, text) for name, text in found if text is not None)
