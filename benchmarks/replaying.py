"""
Measure how much a replay holds up the live flow beside it, under the scheduler.

    python -m benchmarks.replaying [--rate 10] [--seconds 60] [--rounds 3] [--mode reinfer]

One judged pipeline gets pictures all the time. In turn it is alone, or a replay of 1,000 of its
records is asked for by the form as the round begins. Prints a line a round: the median and the 95th
percentile of the seconds from a live record's time to the commit of its batch, and how long the
replay's run took. At last, by how much the medians are later with a replay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from sqlalchemy import Connection, create_engine, text

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.airflow_api import door_of

from benchmarks.crowd import until
from benchmarks.freshness import send_on
from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, embedded
from benchmarks.sharing import filled, write_pipeline
from frameferry.config.home import ledger_url
from frameferry.ledger.opening import open_ledger
from frameferry.stack import stack

LINE: Final = "line"
RECORDS: Final = 1000
PATIENCE_SECONDS: Final = 600.0
RUNS: Final = "/dags/replay/dagRuns"
_COMMITTED: Final = text("SELECT sum(committed_offset) FROM progress")
_LIVE: Final = text(
    "SELECT r.timestamp_ms, b.committed_at FROM record r JOIN batch b ON b.id = r.batch_id "
    "WHERE b.replay_id IS NULL AND r.timestamp_ms >= :since"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", choices=["redeliver", "reinfer"], default="reinfer")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    options = parser.parse_args()
    with embedded(options.folder, ["kafka", "spark", "ftp"]) as home:
        write_pipeline(home / SCHEDULED_PIPELINES, LINE)
        producer = filled([LINE], RECORDS)
        # Nobody may have made its tables yet.
        open_ledger(ledger_url()).close()
        stack.up(["airflow"])
        until(lambda: committed() == RECORDS, PATIENCE_SECONDS)
        found = [
            measured(producer, options, number % 2 == 1) for number in range(2 * options.rounds)
        ]
    alone, beside = (statistics.median(found[start::2]) for start in (0, 1))
    print(json.dumps({"later by": f"{beside / alone - 1:.0%}"}))


def measured(producer: Producer, options: argparse.Namespace, is_beside: bool) -> float:  # noqa: FBT001
    """Carry one round; give the median of its live delays."""
    run_id = replay(options.mode) if is_beside else None
    before, began = committed(), time.time()
    sent = send_on(producer, [LINE], options.rate, began + options.seconds)
    until(lambda: committed() == before + sent, PATIENCE_SECONDS)
    delays = sorted(live_delays(began))
    line: dict[str, Any] = {
        "records": len(delays),
        "p50": round(statistics.median(delays), 2),
        "p95": round(delays[int(len(delays) * 0.95)], 2),
    }
    print(json.dumps(line | ({"replay, s": took(run_id)} if run_id else {})), flush=True)
    return statistics.median(delays)


def replay(mode: str) -> str:
    """Ask by the form for the first records; give the run's id."""
    ranges = f"0:0-{RECORDS // 2}, 1:0-{RECORDS // 2}"
    form = {"pipeline": LINE, "ranges": ranges, "mode": mode, "dry_run": False}
    found: list[str] = []
    with door_of(stack.status()["airflow"]) as door:

        def is_taken() -> bool:
            # Airflow on SQLite may answer 500 while another process holds its database.
            asked = door.post(RUNS, json={"logical_date": None, "conf": form})
            if asked.is_server_error:
                print(asked.text[:300], file=sys.stderr)
                return False
            found.append(str(asked.raise_for_status().json()["dag_run_id"]))
            return True

        until(is_taken, PATIENCE_SECONDS)
    return found[0]


def took(run_id: str) -> float:
    """Wait for the end of a run, which must be a good one; give its seconds."""
    with door_of(stack.status()["airflow"]) as door:

        def run() -> dict[str, Any]:
            return dict(door.get(f"{RUNS}/{run_id}").raise_for_status().json())

        until(lambda: run()["state"] in {"success", "failed"}, PATIENCE_SECONDS)
        assert run()["state"] == "success", run()
        return round(float(run()["duration"]), 1)


def committed() -> int:
    with connected() as ledger:
        return int(ledger.execute(_COMMITTED).scalar() or 0)


def live_delays(since: float) -> Sequence[float]:
    with connected() as ledger:
        rows = ledger.execute(_LIVE, {"since": int(since * 1000)}).all()
    return [
        datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() - sent / 1000
        for sent, at in rows
    ]


def connected() -> closing[Connection]:
    return closing(create_engine(ledger_url()).connect())


if __name__ == "__main__":
    main()
