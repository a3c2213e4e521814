"""
Ask and write a ledger of ten million records, as pipelines and people do.

    python -m benchmarks.large_ledger                 both databases; 7 GB of disk, ten minutes
    python -m benchmarks.large_ledger --millions 1 --databases sqlite

Wall milliseconds of each, median and 95 %, over calls with other arguments each.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.large_ledger import EACH, RARER, analyse, fill
from fixtures.ledgers import (
    DATABASES,
    PIPELINE,
    claim,
    count,
    intend,
    plan,
    receive,
    record,
    register,
    rows,
)
from fixtures.postgres import postgres_server

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

CALLS: Final = 100
SHOWN: Final = 50
"""Rows of a search: what a person sees at once."""
BATCH_RECORDS: Final = 100
Laps = dict[str, list[float]]


def main() -> None:
    options = parse()
    for database in options.databases:
        with ExitStack() as stack:
            ledger = stack.enter_context(closing(open_ledger(made(stack, database))))
            register(ledger)
            began = time.perf_counter()
            fill(ledger, round(options.millions * 10**6 / EACH))
            analyse(ledger)
            print(f"{database}: filled in {time.perf_counter() - began:.0f} s", flush=True)
            warm(ledger)
            for what, seconds in measured(ledger, round(options.millions * 10**6)):
                print(f"  {what:<34}{told(seconds)}", flush=True)


def warm(ledger: Ledger) -> None:
    """Commit one batch, which counts all that the database made, and ask once."""
    carry(ledger, OffsetRange(1, 0, BATCH_RECORDS), {"plan": [], "commit": []})
    ledger.counts(PIPELINE)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--millions", type=float, default=10.0, help="of records")
    parser.add_argument("--databases", nargs="+", default=list(DATABASES), choices=DATABASES)
    return parser.parse_args()


def made(stack: ExitStack, database: str) -> str:
    if database == "postgresql":
        return stack.enter_context(postgres_server()).empty_database()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return f"sqlite:///{folder}/ledger.db"


def told(seconds: list[float]) -> str:
    late = statistics.quantiles(seconds, n=20)[-1]
    return f"{statistics.median(seconds) * 1000:9.1f} ms   95 % {late * 1000:9.1f} ms"


def measured(ledger: Ledger, records: int) -> Iterator[tuple[str, list[float]]]:
    chance = random.Random(1)
    yield from carried(ledger).items()
    for what, ask in searches(ledger, records, chance).items():
        yield what, [timed(ask) for _ in range(CALLS)]


def carried(ledger: Ledger) -> Laps:
    laps: Laps = {"plan": [], "commit": []}
    for number in range(1, CALLS + 1):
        carry(ledger, OffsetRange(1, number * BATCH_RECORDS, (number + 1) * BATCH_RECORDS), laps)
    return laps


def carry(ledger: Ledger, wanted: OffsetRange, laps: Laps) -> None:
    """Carry a batch; time its plan and its commit."""
    began = time.perf_counter()
    ledger.pipeline_state(PIPELINE)
    batch_id = plan(ledger, wanted)
    laps["plan"].append(time.perf_counter() - began)
    batch = claim(ledger, batch_id)
    record(ledger, batch.token, rows([wanted]))
    due = ledger.consignments(batch.token)
    intend(ledger, batch, due)
    receive(ledger, batch, due)
    ledger.record_census(batch.token, count(ledger, batch), seconds=1.0)
    laps["commit"].append(timed(lambda: ledger.commit(batch_id)))


def searches(
    ledger: Ledger, records: int, chance: random.Random
) -> dict[str, Callable[[], object]]:
    def some() -> int:
        return chance.randrange(records)

    def named(glob: str) -> Callable[[], object]:
        return lambda: ledger.records(PIPELINE, name_glob=glob.format(some()), limit=SHOWN)

    return {
        "the first records": lambda: ledger.records(PIPELINE, limit=SHOWN),
        "a record by its offset": lambda: ledger.records(PIPELINE, partition=0, offset=some()),
        "records by a name": named("cam_{}.jpg"),
        "a record by its file's path": lambda: ledger.records(
            PIPELINE, name_glob=f"/press-a/cam_1-{chance.randrange(CALLS)}.jpg"
        ),
        "records by a name's beginning": named("cam_{}*"),
        "records of a frequent label": lambda: ledger.records(PIPELINE, label="good", limit=SHOWN),
        f"records of a label, 1 of {RARER:,}": lambda: ledger.records(
            PIPELINE, label="stain", limit=SHOWN
        ),
        "records of a label that is none": lambda: ledger.records(
            PIPELINE, label="none", limit=SHOWN
        ),
        "what status asks": lambda: ledger.counts(PIPELINE),
    }


def timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
