"""Read partition and offset back from a final name: the inverse of naming, for recovery."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from frameferry.domain.templates import Token, template_tokens

_TWO_DIGITS: Final = r"(?:\d{2}|undated)"
_TIMES: Final = {
    "date": r"(?:\d{4}-\d{2}-\d{2}|undated)",
    "year": r"(?:\d{4}|undated)",
    **dict.fromkeys(("month", "day", "hour", "minute", "second"), _TWO_DIGITS),
    "timestamp": r"(?:\d{8}T\d{9}|undated)",
}
_ANY: Final = r"[^/]+?"
# Letters and digits only, as naming makes it: with a separator in it, a part of the source's name
# could pass for the numbers, and what follows it for a suffix.
_SUFFIX: Final = r"(?:\.(?:[^\W_]|%[0-9A-F]{2})+|(?:%2E|_)part)?"


class PositionReader:
    """
    Finds which record a file belongs to, by its name below the base.

    Args:
        template: As `check_template` lets through.
        pipeline: The pipeline's name.
        generation: Names of other generations are not read.

    Raises:
        ValueError: The file's own name does not hold both partition and offset (a folder holds
            one), so a file alone does not say which record it is.
    """

    def __init__(self, template: str, *, pipeline: str, generation: int) -> None:
        tokens = template_tokens(template)
        if not {"partition", "offset"} <= _fields_of_file(tokens):
            msg = (
                f"name template {template!r}: the file's own name must hold {{partition}} and "
                "{offset} for its files to be recognised"
            )
            raise ValueError(msg)
        self._specs: dict[str, str] = {}
        self._pattern = re.compile(self._spelled(tokens, pipeline, generation))

    def read(self, name: str) -> tuple[int, int] | None:
        """Read (partition, offset) of a name relative to the base; None for another's file."""
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        numbers = {field: int(found[field]) for field in self._specs}
        if any(f"{numbers[field]:{spec}}" != found[field] for field, spec in self._specs.items()):
            return None
        return numbers["partition"], numbers["offset"]

    def _spelled(self, tokens: Sequence[Token], pipeline: str, generation: int) -> str:
        mark = "" if generation == 1 else f"-g{generation}"
        shapes = {**_TIMES, "pipeline": re.escape(pipeline), "suffix": f"{mark}{_SUFFIX}"}
        pieces = []
        for token in tokens:
            if token.field in {"partition", "offset"}:
                pieces.append(self._number(token.field, token.detail))
            elif token.field:
                pieces.append(shapes.get(token.field, _ANY))
            else:
                pieces.append(re.escape(token.text))
        has_suffix = any(token.field == "suffix" for token in tokens)
        return "".join([*pieces, "" if has_suffix else re.escape(mark)]).lstrip("/")

    def _number(self, field: str, spec: str) -> str:
        """Match a number; capture it only once if the template holds it twice."""
        if field in self._specs:
            return r"\d+"
        self._specs[field] = spec
        return rf"(?P<{field}>\d+)"


def _fields_of_file(tokens: Sequence[Token]) -> set[str]:
    """List the fields after the last slash."""
    last = max((place for place, token in enumerate(tokens) if "/" in token.text), default=-1)
    return {token.field for token in tokens[last + 1 :]}
