"""The table between its markers in the documents: written from the results, never by hand."""

from __future__ import annotations

from benchmarks.pipeline.results import Results
from benchmarks.pipeline.servers import ROOT
from benchmarks.pipeline.table import table

DOCUMENT = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- benchmark -->", "<!-- end benchmark -->"


def write_documents(results: Results) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(text.replace(between(text), table(results)), encoding="utf-8")


def between(text: str) -> str:
    """Take what stands between the markers, without the blank lines beside them."""
    return text.split(BEGIN)[1].split(END, maxsplit=1)[0].strip("\n")
