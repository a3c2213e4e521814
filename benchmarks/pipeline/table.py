"""The tables of the document, made from the results alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.pipeline.contestants import FERRY, LOOP, OLD, SCHEDULED
from benchmarks.pipeline.goals import GOALS, judged, processor, speed
from benchmarks.pipeline.loads import FAR, MODELS, NEAR, PARTS, SCHEDULER
from benchmarks.pipeline.loop import FULL
from benchmarks.pipeline.results import Results

PLACES: Final = {NEAR: "loopback", FAR: "20 ms away", SCHEDULER: "loopback, many batches"}
SIDES: Final = {
    FERRY: "Frameferry",
    SCHEDULED: "under Airflow",
    LOOP: "loop by hand",
    OLD: "old design",
}
_TEN, _HUNDRED = 10, 100


def table(results: Results) -> str:
    """Write what was measured, then which goals are reached."""
    return "\n".join([_sentence(results), "", *_measured(results), "", *_goals(results)])


def _sentence(results: Results) -> str:
    run = results.run
    changed = " and changes" if run["changed_since_commit"] else ""
    whole = run["settings"].get("loop_decoding") == FULL
    decoding = " The loop decoded pictures at full size." if whole else ""
    note = f" {run['settings']['note']}" if run["settings"].get("note") else ""
    machine, versions = run["machine"], run["versions"]
    return (
        f"Commit `{run['commit']}`{changed}, {run['when'][:10]}; {machine['cores']} cores "
        f"({machine['processor']}), TensorFlow {versions['tensorflow']}, Spark "
        f"{versions['pyspark']}, Kafka {versions['kafka']}, Airflow {versions['apache-airflow']}."
        f"{decoding}{note}"
    )


def _measured(results: Results) -> Iterator[str]:
    yield from _head(["FTP server", "model", "picture", *SIDES.values()])
    for part in PARTS:
        for model, size in results.loads(part):
            cells = [_cell(results, part, side, model, size) for side in SIDES]
            yield _row([PLACES[part], MODELS[model], _picture(results, part, size), *cells])


def _cell(results: Results, part: str, side: str, model: str, size: str) -> str:
    found = results.of(part, side, model, size)
    fast, spent = results.median(found, speed), results.median(found, processor)
    if fast is None or spent is None:
        return ""
    return f"{_figure(fast)}/s, {_figure(spent)} ms"


def _picture(results: Results, part: str, size: str) -> str:
    found = next(each for each in results.rounds if (each.part, each.size) == (part, size))
    kilobytes = found.megabytes * 1000 / found.pictures
    weight = f"{kilobytes / 1000:.1f} MB" if kilobytes >= 1000 else f"{kilobytes:.0f} kB"  # noqa: PLR2004
    return f"{size.replace('x', ' x ')}, {weight}"


def _goals(results: Results) -> Iterator[str]:
    yield from _head(["goal", "reached", "measured"])
    found = list(judged(results))
    for goal in GOALS:
        ratios = [(m, s, ratio) for each, m, s, ratio in found if each is goal]
        if ratios:
            missed = [(m, s) for m, s, ratio in ratios if not goal.is_reached(ratio)]
            measured = ", ".join(f"{ratio:.2f} ({MODELS[m]} {s})" for m, s, ratio in ratios)
            yield _row([goal.text, _reached(len(ratios), len(missed)), measured])


def _reached(count: int, missed: int) -> str:
    if not missed:
        return "yes"
    return "**no**" if missed == count else f"**at {count - missed} of {count}**"


def _figure(value: float) -> str:
    if value >= _HUNDRED:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= _TEN else f"{value:.2f}"


def _head(cells: Sequence[str]) -> list[str]:
    return [_row(cells), "|---" * len(cells) + "|"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
