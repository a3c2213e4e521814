"""Read partition and offset back from a final name: the inverse of naming, for recovery."""

from __future__ import annotations

import re
import string
from typing import Final

_DATE: Final = r"(?:\d{4}-\d{2}-\d{2}|undated)"
_HOUR: Final = r"(?:\d{2}|undated)"
_ANY: Final = r"[^/]+?"
_SUFFIX: Final = r"(?:\.[^/.]+)?"


class PositionReader:
    """
    Finds which record a file belongs to, by its name below the base.

    Args:
        template: As `check_template` lets through.
        pipeline: The pipeline's name.
        generation: Names of other generations are not read.

    Raises:
        ValueError: The file's own name holds partition and offset not both (a folder holds one),
            so that a file alone does not say which record it is.
    """

    def __init__(self, template: str, *, pipeline: str, generation: int) -> None:
        parsed = list(string.Formatter().parse(template.rpartition("/")[2]))
        if not {"partition", "offset"} <= {field for _, field, _, _ in parsed}:
            msg = (
                f"name template {template!r}: the file's own name must hold {{partition}} and "
                "{offset} for its files to be recognised"
            )
            raise ValueError(msg)
        self._specs: dict[str, str] = {}
        self._pattern = re.compile(self._spelled(template, pipeline, generation))

    def read(self, name: str) -> tuple[int, int] | None:
        """Read (partition, offset) of a name relative to the base; None for another's file."""
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        numbers = {field: int(found[field]) for field in self._specs}
        if any(f"{numbers[field]:{spec}}" != found[field] for field, spec in self._specs.items()):
            return None
        return numbers["partition"], numbers["offset"]

    def _spelled(self, template: str, pipeline: str, generation: int) -> str:
        mark = "" if generation == 1 else f"-g{generation}"
        shapes = {
            "date": _DATE,
            "hour": _HOUR,
            "pipeline": re.escape(pipeline),
            "suffix": f"{mark}{_SUFFIX}",
        }
        pieces = []
        has_suffix = False
        for text, field, spec, _ in string.Formatter().parse(template):
            pieces.append(re.escape(text))
            has_suffix |= field == "suffix"
            if field in {"partition", "offset"}:
                pieces.append(self._number(field, spec or ""))
            elif field is not None:
                pieces.append(shapes.get(field, _ANY))
        return "".join([*pieces, "" if has_suffix else re.escape(mark)]).lstrip("/")

    def _number(self, field: str, spec: str) -> str:
        """Match a number; the same one again where the template holds it twice."""
        if field in self._specs:
            return r"\d+"
        self._specs[field] = spec
        return rf"(?P<{field}>\d+)"
