"""The story: a stream that carries, three deaths on one batch, an adoption, every picture once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.pipeline.command import MODEL
from benchmarks.pipeline.connector import connector
from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, FtpSite, bootstrap
from benchmarks.pipeline.topics import Broker
from frameferry.demo.surfaces import LABELS, encode, picture

PIPELINE: Final = "line-7"
TOPIC: Final = f"{PIPELINE}.images"
BASE: Final = f"/{PIPELINE}"
FEW, MANY = 8, 64
SIZE_PIXELS: Final = (800, 600)
LIMIT_OFFSETS: Final = 4
"""What a person sets after the second death: far less than the driver could take."""
RECORDS_A_BATCH: Final = 16
PATIENCE_SECONDS: Final = 240.0
_POLL_SECONDS: Final = 0.1
_DEATH: Final = re.compile(
    r"Total size of serialized results of \d+ tasks? \([^)]*\) is bigger than "
    r"spark\.driver\.maxResultSize \([^)]*\)"
)


class Untold(Exception):
    """Something did not happen as the story has it."""


@dataclass
class Found:
    """What happened: each death's message, digests of pictures and files, seconds since a death."""

    deaths: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    old_files: list[str] = field(default_factory=list)
    our_files: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Story:
    """The servers, and what is found on the way; `say` tells it to a person."""

    home: Path
    site: FtpSite
    max_result_size: str
    say: Callable[[str], None]
    found: Found = field(default_factory=Found)
    died_at: float = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.home / "old-checkpoint"

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def files(self) -> dict[Path, str]:
        return {path: digest(path.read_bytes()) for path in self.site.files(BASE)}

    def since_death(self) -> float:
        return time.monotonic() - self.died_at


def tell(story: Story) -> None:
    """
    Let it happen.

    Raises:
        Untold: A part of it did not happen.
    """
    broker = Broker(bootstrap())
    broker.create(TOPIC)
    made = pictures()
    story.found.pictures = list(map(digest, made))
    _carries_and_dies(story, broker, made)
    for number, limit in ((2, 0), (3, LIMIT_OFFSETS)):
        words = f"with maxOffsetsPerTrigger={limit}" if limit else "as it is"
        story.say(f"\nIt is restarted {words}.")
        with _started(story, number, limit) as process:
            _await_death(story, process, number)
    _adopted(story)
    _accounted(story)


def pictures() -> list[bytes]:
    labels = len(LABELS)
    return [
        encode(picture(number, LABELS[number % labels], SIZE_PIXELS), "JPEG")
        for number in range(FEW + MANY)
    ]


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _carries_and_dies(story: Story, broker: Broker, made: list[bytes]) -> None:
    weight = sum(map(len, made[FEW:])) / 1e6
    story.say(
        "The old design: Structured Streaming, foreachBatch, collect(), one upload after the "
        f"other; spark.driver.maxResultSize is {story.max_result_size}."
    )
    with _started(story, 1, 0) as process:
        broker.fill(TOPIC, made[:FEW], FEW)
        committed = story.checkpoint / "commits"
        _wait(lambda: len(story.files()) == FEW and any(committed.glob("[0-9]*")), process, "files")
        story.found.old_files = sorted(story.files().values())
        story.say(f"  {FEW} pictures are delivered, and it waits for more.")
        story.say(f"  {MANY} pictures of {weight:.1f} MB appear at once.")
        broker.fill(TOPIC, made[FEW:], MANY)
        _await_death(story, process, 1)


@contextmanager
def _started(story: Story, number: int, limit: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the old design; it does not outlive the block."""
    site = story.site
    told: dict[str, Any] = {
        "bootstrap": bootstrap(),
        "topic": TOPIC,
        "checkpoint": str(story.checkpoint),
        "max_result_size": story.max_result_size,
        "limit": limit,
        "jars": [str(jar) for jar in sorted(connector().glob("*.jar"))],
        "ftp": {"host": site.host, "port": site.port, "folder": BASE}
        | {"user": site.user, "password": site.password},
    }
    argv = [sys.executable, "-m", "benchmarks.death_loop.old_stream"]
    with story.log(f"old-{number}").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert process.stdin is not None
    try:
        with process.stdin as settings:
            settings.write(json.dumps(told).encode())
        yield process
    finally:
        process.kill()
        process.wait()


def _await_death(story: Story, process: subprocess.Popen[bytes], number: int) -> None:
    """Wait until the stream ends, and read in its log of what."""
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        msg = f"the old design did not die within {PATIENCE_SECONDS:.0f} s"
        raise Untold(msg) from None
    story.died_at = time.monotonic()
    text = story.log(f"old-{number}").read_text(encoding="utf-8", errors="replace")
    said = _DEATH.search(text)
    if said is None:
        msg = f"the old design died of something else: {text[-2000:]}"
        raise Untold(msg)
    planned, committed = _newest(story, "offsets"), _newest(story, "commits")
    ends = (story.checkpoint / "offsets" / planned).read_text(encoding="utf-8").splitlines()[-1]
    story.found.deaths.append(said[0])
    story.found.planned.append(f"{planned} {ends}")
    story.say(f"  It dies: {said[0]}")
    story.say(
        f"  Its Spark checkpoint: batch {committed} committed, batch {planned} planned: {ends}"
    )


def _newest(story: Story, log: str) -> str:
    return max((path.name for path in (story.checkpoint / log).glob("[0-9]*")), key=int)


def _wait(condition: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            msg = f"no {what} of the old design came"
            raise Untold(msg)
        time.sleep(_POLL_SECONDS)


def _adopted(story: Story) -> None:
    content = {
        "pipeline": PIPELINE,
        "kafka": {"connection": "plant_kafka", "topic": TOPIC, "start": "adopt"},
        "model": {"path": str(Path(MODEL).absolute())},
        "deliver": {"connection": story.site.connection, "base": BASE},
        "batch": {"max_records": RECORDS_A_BATCH},
    }
    place = story.home / SCHEDULED_PIPELINES / f"{PIPELINE}.yaml"
    place.write_text(yaml.safe_dump(content), encoding="utf-8")
    story.say("\nFrameferry takes over, on a Spark server with the same limit.")
    adopt = ("adopt", PIPELINE, "--spark-checkpoint", str(story.checkpoint), "--carry-planned")
    _watched(story, *adopt)
    _watched(story, "run", PIPELINE, "--until-caught-up")
    status = json.loads(_command(story, "status", PIPELINE, "--json"))
    story.found.seconds["healthy"] = story.since_death()
    if not status["healthy"]:
        msg = f"Frameferry is not healthy: {status['advice']}"
        raise Untold(msg)


def _watched(story: Story, *arguments: str) -> None:
    """Run a command, and note when the first new file is there."""
    before = len(story.site.files(BASE))
    shown = " ".join(arguments).replace(str(story.home), "HOME")
    story.say(f"\n$ frameferry {shown}")
    argv = [Path(sys.executable).with_name("frameferry"), *arguments]
    environment = {**os.environ, "COLUMNS": "100"}
    with story.log(arguments[0]).open("wb") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, env=environment)
    while process.poll() is None:
        if len(story.site.files(BASE)) > before:
            story.found.seconds.setdefault("first new file", story.since_death())
        time.sleep(_POLL_SECONDS)
    assert process.stdout is not None
    with process.stdout as output:
        story.say(output.read().decode().replace(str(story.home), "HOME").rstrip())
    if process.returncode:
        text = story.log(arguments[0]).read_text(encoding="utf-8", errors="replace")
        msg = f"frameferry {arguments[0]} ended with {process.returncode}: {text[-2000:]}"
        raise Untold(msg)


def _command(story: Story, *arguments: str) -> str:
    argv = [Path(sys.executable).with_name("frameferry"), *arguments]
    with story.log(arguments[0]).open("wb") as log:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=log, check=True, text=True)
    return done.stdout


def _accounted(story: Story) -> None:
    """Hold the files, whoever put them there, against the pictures."""
    found, old = story.found, Counter(story.found.old_files)
    all_files = Counter(story.files().values())
    found.our_files = sorted((all_files - old).elements())
    missing, twice = Counter(found.pictures) - all_files, all_files - Counter(found.pictures)
    if missing or twice:
        msg = f"{missing.total()} pictures are missing, {twice.total()} files are too many"
        raise Untold(msg)
    seconds = found.seconds
    story.say(
        f"\nEvery picture is on the FTP server once: {len(found.pictures)}, of which "
        f"{len(found.old_files)} by the old design and {len(found.our_files)} by Frameferry.\n"
        f"After the last death: first new file {seconds['first new file']:.1f} s, healthy "
        f"{seconds['healthy']:.1f} s; steps by hand after adopt: 0 (a DAG that waits goes on by "
        "itself; here it is the command run)."
    )
