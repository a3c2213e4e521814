"""
Peak memory against the size of a batch, and against the batches one server has carried; as root.

    make measure-memory                     two drawings in docs/images, their points beside them
    make measure-memory ONLY="--gigabytes 0.1 1 --batches 10 --out FOLDER"

Of the embedded Spark server's JVM, its largest Python worker and the process that delivers, at
default settings but for how much a batch may be. Beside the first the old design's, until it dies.
Pictures weigh 7 MB: small ones padded by comment segments, so that carrying them is what is
measured. Needs 17 GB for Kafka's log and 11 GB for the delivered files, and deletes both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.loads import MEGABYTE, live_heap_megabytes, take
from benchmarks.pipeline import ledgers
from benchmarks.pipeline.command import Command
from benchmarks.pipeline.connector import connector
from benchmarks.pipeline.documents import write_between
from benchmarks.pipeline.drawing import Drawing, Line
from benchmarks.pipeline.loads import CNN, PARTITIONS, SIZES, grown_to
from benchmarks.pipeline.memory import CLIENT, JVM, WORKER, Family, Peaks
from benchmarks.pipeline.models import make_models
from benchmarks.pipeline.pictures import heavy_pictures, pictures
from benchmarks.pipeline.programs import Died, Program
from benchmarks.pipeline.results import described
from benchmarks.pipeline.servers import ROOT, FtpSite, bootstrap, embedded, ftp_server
from benchmarks.pipeline.summary import MEMORY as KEPT
from benchmarks.pipeline.summary import OLD_DESIGN as OLD
from benchmarks.pipeline.summary import OURS, renew
from benchmarks.pipeline.topics import Broker
from frameferry.stack import stack

IMAGES: Final = ROOT / "docs" / "images"
SHOWN: Final = """\
![Peak memory against the size of one batch](images/memory-batch.svg)

![Peak memory against the batches one server has carried](images/memory-server.svg)"""
HEAP: Final = "live heap"
FIRST_PICTURES: Final = 31
"""Of a pipeline that it does not know, the planner dares no more in one batch."""
OLD_GIGABYTES: Final = (0.1, 0.3, 1.0, 1.5, 2.0, 3.0, 10.0)
DIED: Final = "died"
_REASON_CHARACTERS: Final = 80
ANY_SIZE: Final = {"max_records": 10**6, "max_bytes": "1TB", "target_seconds": 1e6}


@dataclass(frozen=True)
class Point:
    """Peaks in megabytes at one place: a batch's gigabytes, or the number of batches carried."""

    side: str
    at: float
    megabytes: dict[str, float]
    died: str = ""


@dataclass(frozen=True)
class Ground:
    """The servers, and how heavy a picture is."""

    home: Path
    site: FtpSite
    broker: Broker
    models: Path
    picture_bytes: int

    def fill(self, topic: str, count: int) -> list[int]:
        return self.broker.fill(topic, heavy_pictures(self.picture_bytes), count).sizes

    def pictures_of(self, gigabytes: float) -> int:
        return max(1, round(gigabytes * 1e9 / self.picture_bytes))


def main() -> None:
    options = parse()
    settings = {
        name: getattr(options, name)
        for name in ("gigabytes", "batches", "batch_pictures", "picture_megabytes")
    }
    with (
        tempfile.TemporaryDirectory() as models,
        embedded(options.folder, ["kafka", "spark"]) as home,
        ftp_server("vsftpd", options.ftp_folder) as site,
    ):
        assert make_models(Path(models), [CNN]).wait() == 0, "the model could not be made"
        weight = round(options.picture_megabytes * MEGABYTE)
        ground = Ground(home, site, Broker(bootstrap()), Path(models), weight)
        by_batch = list(said(by_batches(ground, options.batches, options.batch_pictures)))
        by_size = list(said(by_sizes(ground, options.gigabytes)))
    points = {"by_batch": [*map(asdict, by_batch)], "by_size": [*map(asdict, by_size)]}
    keep(options.out, {"run": described(settings), **points})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--gigabytes", type=float, nargs="+", default=[0.1, 1.0, 10.0], help="of a batch")
    add("--batches", type=int, default=50, help="that one server carries")
    add("--batch-pictures", type=int, default=15)
    add("--picture-megabytes", type=float, default=7.0)
    add("--folder", type=Path, default=Path("/tmp"), help="for Kafka's log")
    add("--ftp-folder", type=Path, default=Path("/tmp"))
    add("--out", type=Path, help="a folder; default: the documents' own")
    return parser.parse_args()


def said(points: Iterator[Point]) -> Iterator[Point]:
    for point in points:
        peaks = ", ".join(f"{kind} {value:.0f}" for kind, value in point.megabytes.items())
        print(f"{point.side} at {point.at:g}: {peaks} MB {point.died}", flush=True)
        yield point


def by_batches(ground: Ground, batches: int, batch_pictures: int) -> Iterator[Point]:
    """Carry batch after batch on one server; of each the peaks, and the live heap after it."""
    command = Command(ground.home, "memory-server")
    command.write(ground.site, {"max_records": batch_pictures})
    ground.broker.create(command.topic)
    sizes = ground.fill(command.topic, batches * batch_pictures)
    points: list[Point] = []
    with Peaks(command.family) as peaks:

        def note(found: ledgers.Progress) -> None:
            heap = {HEAP: heap} if (heap := live_heap_megabytes(ground.home)) else {}
            points.append(Point(OURS, found.batches, {**peaks.restart(), **heap}))

        died = carried(command, len(sizes), note)
    take(ground.site, command.base, [] if died else sizes)
    ground.broker.delete(command.topic)
    yield from points
    if died:
        yield Point(OURS, points[-1].at if points else 0, {}, died)


def by_sizes(ground: Ground, gigabytes: Sequence[float]) -> Iterator[Point]:
    """
    Carry one batch of each size, each on a server, by a pipeline and from a topic of its own.

    The largest topic stays for the old design.
    """
    *smaller, largest = sorted(gigabytes)
    for size in smaller:
        yield one_batch(ground, size)
        ground.broker.delete(command_of(ground, size).topic)
    yield one_batch(ground, largest)
    stack.down(["spark"])
    yield from old_sizes(ground, command_of(ground, largest).topic, largest)


def command_of(ground: Ground, gigabytes: float) -> Command:
    return Command(ground.home, f"memory-{ground.pictures_of(gigabytes)}-pictures")


def teach(ground: Ground, command: Command, records: int) -> None:
    """Let the planner learn that batches of so many records go well."""
    values, count = pictures(SIZES["640x480"]), FIRST_PICTURES
    while count:
        sizes = ground.broker.fill(command.topic, values, count).sizes
        command.carry(count, lambda _: None)
        take(ground.site, command.base, sizes)
        count = grown_to(records, ledgers.last_batch_offsets(ground.home, command.pipeline))


def one_batch(ground: Ground, gigabytes: float) -> Point:
    """Carry one backlog on a fresh server, and say how large its largest batch really was."""
    command, count = command_of(ground, gigabytes), ground.pictures_of(gigabytes)
    command.write(ground.site, ANY_SIZE)
    ground.broker.create(command.topic)
    teach(ground, command, count + PARTITIONS)
    stack.down(["spark"])
    stack.up(["spark"])
    before = ledgers.last_batch(ground.home)
    sizes = ground.fill(command.topic, count)
    with Peaks(command.family) as peaks:
        died = carried(command, len(sizes), lambda _: None)
        found = peaks.restart()
    take(ground.site, command.base, [] if died else sizes)
    weight = ledgers.largest_batch_bytes(ground.home, command.pipeline, after=before) / 1e9
    return Point(OURS, round(weight or gigabytes, 3), found, died)


def carried(command: Command, count: int, on_batch: Callable[[ledgers.Progress], None]) -> str:
    """Carry, and say why it failed where it did."""
    try:
        command.carry(count, on_batch)
    except RuntimeError as error:
        return str(error)[:_REASON_CHARACTERS]
    return ""


def old_sizes(ground: Ground, topic: str, most: float) -> Iterator[Point]:
    """Let the old design collect more and more of the topic's end, until it dies."""
    for gigabytes in OLD_GIGABYTES:
        if gigabytes > most:
            return
        point = old_batch(ground, topic, gigabytes)
        yield point
        if point.died:
            return


def old_batch(ground: Ground, topic: str, gigabytes: float) -> Point:
    model = ground.models / CNN / "model.keras"
    arguments = (ground.broker.bootstrap, str(model), str(10**6), str(connector()))
    log = ground.home / "logs" / f"old-{gigabytes:g}.log"
    program = Program("benchmarks.pipeline.old_design", *arguments, log=log)
    died = ""
    with Peaks(Family(spark=program.processes, client=program.processes)) as peaks:
        try:
            program.wait_ready()
            program.carry(errand(ground, topic, gigabytes))
        except Died as death:
            print(death, flush=True)
            died = cause(log.read_text(encoding="utf-8", errors="replace"))
        found = peaks.restart()
        program.stop()
    shutil.rmtree(ground.site.root / "old", ignore_errors=True)
    return Point(OLD, gigabytes, found, died)


def errand(ground: Ground, topic: str, gigabytes: float) -> dict[str, Any]:
    """Ask for the last gigabytes of a topic, from all its partitions alike."""
    share = -(-ground.pictures_of(gigabytes) // PARTITIONS)
    starts = {p: max(0, end - share) for p, end in ground.broker.ends(topic).items()}
    site = ground.site
    where = {"host": site.host, "port": site.port, "folder": "/old"}
    return {**where, "user": site.user, "password": site.password, "topic": topic, "starts": starts}


def cause(text: str) -> str:
    """Find what killed a Spark driver in its log."""
    for known in ("maxResultSize", "OutOfMemoryError"):
        if known in text:
            return known
    return DIED


def keep(out: Path | None, content: dict[str, Any]) -> None:
    points, images = (out / KEPT.name, out) if out else (KEPT, IMAGES)
    points.parent.mkdir(parents=True, exist_ok=True)
    points.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for name, drawing in drawn(content).items():
        (images / name).write_text(drawing.svg(), encoding="utf-8")
    print(f"written: {points}", flush=True)
    if out is None:
        write_between("memory", SHOWN)
        renew()


def drawn(content: dict[str, Any]) -> dict[str, Drawing]:
    """Make the drawings from kept points."""
    by_batch, by_size = ([Point(**each) for each in content[n]] for n in ("by_batch", "by_size"))
    return drawings(by_batch, by_size)


def drawings(by_batch: Sequence[Point], by_size: Sequence[Point]) -> dict[str, Drawing]:
    sizes = [point.at for point in by_size]
    last = max(point.at for point in by_batch)
    return {
        "memory-batch.svg": Drawing(
            "Peak memory against the size of one batch",
            *("gigabytes in one batch", "MB"),
            lines=[
                *lines(by_size, OURS, (JVM, WORKER, CLIENT)),
                *lines(by_size, OLD, (JVM, WORKER, CLIENT), prefix="old design: ", is_dashed=True),
            ],
            x_marks=[mark for mark in (0.1, 0.3, 1, 3, 10) if mark <= max(sizes) * 1.1],
            x_is_logarithmic=True,
        ),
        "memory-server.svg": Drawing(
            "Peak memory against the batches that one server has carried",
            *("batches carried", "MB"),
            lines=lines(by_batch, OURS, (JVM, HEAP, WORKER, CLIENT)),
            x_marks=[round(last * part / 5) for part in range(6)],
        ),
    }


def lines(
    points: Sequence[Point],
    side: str,
    kinds: Sequence[str],
    *,
    prefix: str = "",
    is_dashed: bool = False,
) -> list[Line]:
    ours = sorted((point for point in points if point.side == side), key=lambda each: each.at)
    names = {JVM: "JVM", WORKER: "one Python worker", CLIENT: "delivering process", HEAP: HEAP}
    why = ours[-1].died if ours else ""
    died = {"": "", DIED: ", dies"}.get(why, f", dies: {why}")
    return [
        Line(f"{prefix}{names[kind]}", found, is_dashed, died if kind == JVM else "")
        for kind in kinds
        if (found := [(each.at, each.megabytes[kind]) for each in ours if kind in each.megabytes])
    ]


if __name__ == "__main__":
    main()
