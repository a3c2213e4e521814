"""The few figures that the README shows, made from the kept results alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.pipeline.contestants import FERRY, LOOP, OLD
from benchmarks.pipeline.documents import README, write_between
from benchmarks.pipeline.goals import speed
from benchmarks.pipeline.loads import CNN, NEAR
from benchmarks.pipeline.memory import CLIENT, JVM, WORKER
from benchmarks.pipeline.options import KEPT
from benchmarks.pipeline.results import Results, read

MARKER: Final = "figures"
MEMORY: Final = KEPT.with_name("memory.json")
_HEADS: Final = {
    FERRY: "Frameferry",
    LOOP: "a loop by hand, without a ledger",
    OLD: "a stream that collects on the driver",
}
OURS, OLD_DESIGN = "Frameferry", "old design"


def renew() -> None:
    """Write the README's figures anew."""
    write_between(
        MARKER, summary(read(KEPT), json.loads(MEMORY.read_text(encoding="utf-8"))), README
    )


def summary(results: Results, memory: Mapping[str, Any]) -> str:
    """Tell pictures a second beside the others, and what the largest batch took of memory."""
    return "\n".join([*_speeds(results), "", _memory(memory)])


def _speeds(results: Results) -> Iterator[str]:
    yield _row([f"small CNN, {results.run['machine']['cores']} cores", *_HEADS.values()])
    yield "|---" * (1 + len(_HEADS)) + "|"
    for model, size in results.loads(NEAR):
        if model == CNN:
            medians = (
                results.median(results.of(NEAR, side, model, size), speed) for side in _HEADS
            )
            yield _row([size.replace("x", " x "), *(f"{each or 0:.0f}/s" for each in medians)])


def _memory(memory: Mapping[str, Any]) -> str:
    ours, old = (
        max((one for one in memory["by_size"] if one["side"] == side), key=lambda one: one["at"])
        for side in (OURS, OLD_DESIGN)
    )
    jvm, worker, client = (ours["megabytes"][kind] for kind in (JVM, WORKER, CLIENT))
    most, at = max(old["megabytes"].values()), f"{old['at']:g} GB"
    end = f"dies at {at}" if old["died"] else f"takes {most:,.0f} MB at {at}"
    return (
        f"A batch of {ours['at']:.2g} GB takes {jvm:.0f} MB of Spark's JVM, {worker:.0f} of a "
        f"worker and {client:.0f} of the delivering process; the stream {end}."
    )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
