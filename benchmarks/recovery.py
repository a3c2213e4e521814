"""
Measure how soon files arrive again after embedded servers were killed.

    python -m benchmarks.recovery                       writes the table in the documents
    python -m benchmarks.recovery --killed all --out FILE

Two pipelines, one judged and one not, get pictures all the time and are carried by the scheduler.
One kind of server after another is killed with SIGKILL, with all that it started, and comes back by
itself; at last all processes are, the watcher with them, and `frameferry stack up` is given once.
Counted from the kill, or from the start of that command: the seconds until a file arrives that was
not there, of either pipeline and of the slower one, and until all is delivered that had been sent
by then. At the end each picture must be there once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from confluent_kafka import Producer

from benchmarks.crowd import until, whole
from benchmarks.crowd import write_pipeline as write_plain
from benchmarks.pipeline.documents import write_between
from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.results import described
from benchmarks.pipeline.servers import ROOT, SCHEDULED_PIPELINES, embedded
from benchmarks.sharing import filled, values
from benchmarks.sharing import write_pipeline as write_judged
from frameferry.stack import stack

JUDGED: Final = "judged"
PLAIN: Final = "plain"
SERVERS: Final = ("ftp", "kafka", "spark", "airflow")
ALL: Final = "all"
WARM_FILES: Final = 20
PATIENCE_SECONDS: Final = 900.0
COMMAND: Final = Path(sys.executable).with_name("frameferry")
KEPT: Final = ROOT / "docs" / "measurements" / "recovery.json"
MARKER: Final = "recovery"
HEADS: Final = (
    "killed",
    "started again by",
    "first new file",
    "both pipelines",
    "all that was sent",
)


@dataclass(frozen=True)
class Recovered:
    """Seconds of one recovery, and how many processes were killed."""

    killed: str
    processes: int
    first_file_seconds: float
    both_seconds: float
    caught_up_seconds: float


class Plant:
    """What a plant sends, and what arrived of it."""

    def __init__(self, producer: Producer, root: Path, rate: float) -> None:
        self._producer = producer
        self._root = root
        self._pause_seconds = 1 / rate
        self._over = threading.Event()
        self.sent: Counter[str] = Counter()

    @contextmanager
    def sending(self) -> Iterator[None]:
        thread = threading.Thread(target=self._send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self._producer.flush(PATIENCE_SECONDS)

    def arrived(self) -> Counter[str]:
        return Counter({name: len(whole(self._root / name)) for name in (JUDGED, PLAIN)})

    def _send(self) -> None:
        while not self._over.wait(self._pause_seconds):
            for name in (JUDGED, PLAIN):
                picture = values()[self.sent[name] % len(values())]
                self._producer.produce(name, picture, partition=self.sent[name] % 2)
                self.sent[name] += 1
            self._producer.poll(0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--killed", nargs="+", choices=[*SERVERS, ALL], default=[*SERVERS, ALL])
    parser.add_argument("--rate", type=float, default=1.0, help="pictures a second and pipeline")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path, help="a file for the figures; default: the documents")
    options = parser.parse_args()
    with embedded(options.folder, ["kafka", "spark", "ftp"]) as home:
        found = measured(home, options.killed, options.rate)
    content = {"run": described({"rate": options.rate}), "found": [*map(asdict, found)]}
    place = options.out or KEPT
    place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if place == KEPT:
        write_between(MARKER, shown(content))


def measured(home: Path, names: Sequence[str], rate: float) -> list[Recovered]:
    write_judged(home / SCHEDULED_PIPELINES, JUDGED)
    write_plain(home / SCHEDULED_PIPELINES / f"{PLAIN}.yaml", PLAIN)
    producer = filled([JUDGED, PLAIN], 0)
    stack.up(["airflow"])
    plant = Plant(producer, Path(stack.status()["ftp"]["root"]), rate)
    found = []
    with plant.sending():
        for name in names:
            warm(plant)
            found.append(recovered(home, plant, name))
            print(json.dumps(asdict(found[-1])), flush=True)
    until(lambda: plant.arrived() == plant.sent, PATIENCE_SECONDS)
    return found


def warm(plant: Plant) -> None:
    before = plant.arrived()
    until(lambda: grown(plant, before, WARM_FILES), PATIENCE_SECONDS)


def recovered(home: Path, plant: Plant, name: str) -> Recovered:
    victims = doomed(home, name)
    kill(victims)
    before, sent = plant.arrived(), plant.sent.copy()
    began = time.monotonic()
    with started_again(is_by_hand=name == ALL):
        return seen(plant, name, len(victims), before, sent, began)


@contextmanager
def started_again(*, is_by_hand: bool) -> Iterator[None]:
    """Give the command, and do not wait for its end to look for files."""
    if not is_by_hand:
        yield
        return
    with subprocess.Popen([COMMAND, "stack", "up"], stdout=subprocess.DEVNULL) as command:
        yield
    assert command.returncode == 0


def seen(
    plant: Plant,
    name: str,
    killed: int,
    before: Counter[str],
    sent: Counter[str],
    began: float,
) -> Recovered:
    return Recovered(
        name,
        killed,
        since(began, lambda: plant.arrived().total() > before.total()),
        since(began, lambda: grown(plant, before, 1)),
        since(began, lambda: sent <= plant.arrived()),
    )


def doomed(home: Path, name: str) -> set[psutil.Process]:
    """Find the processes of a server, or all that were started for the home."""
    if name != ALL:
        return families(of_server(name, str(home))())
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("FRAMEFERRY_HOME") == str(home):
                found.add(process)
    return found - {psutil.Process()}


def kill(victims: set[psutil.Process]) -> None:
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def grown(plant: Plant, before: Counter[str], by: int) -> bool:
    now = plant.arrived()
    return all(now[name] >= before[name] + by for name in (JUDGED, PLAIN))


def since(began: float, is_so: Callable[[], bool]) -> float:
    until(is_so, PATIENCE_SECONDS)
    return round(time.monotonic() - began, 1)


def shown(content: Mapping[str, Any]) -> str:
    """Write the document's table."""
    rows = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    return "\n".join([*rows, *map(row, content["found"])])


def row(found: Mapping[str, Any]) -> str:
    is_all = found["killed"] == ALL
    cells = (
        f"all {found['processes']} processes" if is_all else f"`{found['killed']}`",
        "`frameferry stack up`" if is_all else "the watcher",
        f"{found['first_file_seconds']:.0f} s",
        f"{found['both_seconds']:.0f} s",
        f"{found['caught_up_seconds']:.0f} s",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
