"""What stands between markers in the documents: written from kept results, never by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.pipeline.servers import ROOT

DOCUMENT: Final = ROOT / "docs" / "measurements.md"
README: Final = ROOT / "README.md"


def write_between(name: str, text: str, place: Path = DOCUMENT) -> None:
    """Put a text between the markers of this name, in place of what is there."""
    document = place.read_text(encoding="utf-8")
    begin, end = _markers(name)
    before, rest = document.split(begin)
    after = rest.split(end)[1]
    place.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def between(name: str, place: Path = DOCUMENT) -> str:
    """Read what stands between the markers of this name, which are there once."""
    begin, end = _markers(name)
    _, rest = place.read_text(encoding="utf-8").split(begin)
    return rest.split(end)[0].strip("\n")


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- end {name} -->"
