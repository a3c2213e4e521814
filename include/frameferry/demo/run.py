"""Run the demo: start the stack, send pictures, let Airflow's scheduler carry them, account."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import home, pipelines_folder
from frameferry.demo.account import NOTHING, Account, account, answered, is_carried
from frameferry.demo.patience import Patience
from frameferry.demo.pictures import DemoPicture, demo_pictures
from frameferry.demo.producer import create_topics, produce_missing
from frameferry.demo.report import all_well, show_accounts, show_doors, show_seconds
from frameferry.domain.state import Counts
from frameferry.errors import FrameferryError
from frameferry.pipeline.context import Context, open_context
from frameferry.stack import airflow, stack
from frameferry.stack.state import StackState

PIPELINES = ("press-a", "paint-b")
_POLL_SECONDS = 0.5


@dataclass
class Clock:
    """
    Seconds since the command at which each thing happened; the first time counts.

    `before` is what each pipeline's ledger held when the command began. `base` is what it held when
    the round began, perhaps by an earlier command.
    """

    started: float = field(default_factory=time.time)
    moments: dict[str, float] = field(default_factory=dict)
    before: dict[str, Counts] = field(default_factory=dict)
    base: dict[str, Counts] = field(default_factory=dict)

    def mark(self, what: str, moment: float | None = None) -> None:
        """Note that something happened, now or at a time of the wall clock."""
        self.moments.setdefault(what, (time.time() if moment is None else moment) - self.started)


def run_demo(*, leave: bool, started: float | None = None) -> int:
    """
    Run one round of the demo.

    Args:
        leave: Stop everything at the end instead of staying up until Ctrl-C.
        started: When the command was given, in seconds since 1970; now if left out.

    Returns:
        The process's exit code: 0 when every picture is accounted for.
    """
    console = Console()
    clock = Clock(started or time.time())
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(ending, _interrupt)
    try:
        accounts = _carry(console, clock)
        show_accounts(console, accounts, clock.moments)
        show_seconds(console, clock.moments)
        if all_well(accounts):
            _Round.finish()
        if not leave:
            show_doors(console, stack.status())
            console.print("Stays up until Ctrl-C; from elsewhere: frameferry stack down")
            _until_interrupted()
    finally:
        with _undisturbed():
            stack.down()
    return 0 if all_well(accounts) else 1


def _carry(console: Console, clock: Clock) -> list[Account]:
    """Start all servers at once; send the pictures as soon as Kafka answers; follow the ledger."""
    current = _Round.current()
    kafka_is_up = Event()

    def told(line: str) -> None:
        console.print(f"  {line}", highlight=False)
        name = line.split(" ", 1)[0]
        clock.mark(f"{name} is up")
        if name == "kafka":
            kafka_is_up.set()

    cancelled = Event()
    with ThreadPoolExecutor(2) as pool, _cancelling(cancelled):
        console.print(f"Round {current}: starting Kafka, Spark, FTP and Airflow ...")
        starting = pool.submit(stack.up, None, on_progress=told, cancelled=cancelled)
        drawing = pool.submit(_all_pictures, current)
        _wait_for(kafka_is_up, starting)
        _use_stack()
        clock.before = _counts()
        clock.base = _Round.base(clock.before)
        pictures = _produced(drawing, clock)
        console.print(f"  {len(pictures) // current} pictures of this round are in Kafka")
        return _followed(console, _Pictures(pictures, current), starting, clock)


@contextmanager
def _cancelling(cancelled: Event) -> Iterator[None]:
    """Set *cancelled* if the block fails: then nobody wants the starting servers any more."""
    try:
        yield
    except BaseException:
        cancelled.set()
        raise


def _wait_for(kafka_is_up: Event, starting: Future[StackState]) -> None:
    while not kafka_is_up.wait(_POLL_SECONDS):
        if starting.done():
            starting.result()
            return


def _followed(
    console: Console, pictures: _Pictures, starting: Future[StackState], clock: Clock
) -> list[Account]:
    with ExitStack() as opened:
        contexts = [opened.enter_context(_context(name)) for name in PIPELINES]
        _watch(console, contexts, pictures, starting, clock)
        return [_account(ctx, pictures, clock) for ctx in contexts]


def _counts() -> dict[str, Counts]:
    with ExitStack() as opened:
        contexts = [opened.enter_context(_context(name)) for name in PIPELINES]
        return {ctx.pipeline: ctx.ledger.counts(ctx.pipeline) for ctx in contexts}


def _produced(drawing: Future[list[DemoPicture]], clock: Clock) -> list[DemoPicture]:
    kafka = {"bootstrap.servers": stack.status()["kafka"]["bootstrap_servers"]}
    create_topics(kafka, PIPELINES)
    pictures = drawing.result()
    clock.mark("pictures are drawn")
    produce_missing(kafka, pictures)
    clock.mark("pictures are in Kafka")
    return pictures


def _all_pictures(rounds: int) -> list[DemoPicture]:
    return [picture for number in range(1, rounds + 1) for picture in demo_pictures(number)]


def _watch(
    console: Console,
    contexts: Sequence[Context],
    pictures: _Pictures,
    starting: Future[StackState],
    clock: Clock,
) -> None:
    """Follow the ledger until every picture has an answer, or nothing moves for too long."""
    wanted = {ctx.pipeline: len(pictures.fresh(ctx.pipeline)) for ctx in contexts}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars = {name: progress.add_task(name, total=total) for name, total in wanted.items()}
        waiting, patience = list(contexts), Patience(time.monotonic)
        while waiting and not patience.is_over:
            if starting.done():
                starting.result()
            for ctx in contexts:
                progress.update(bars[ctx.pipeline], completed=_answered(ctx, clock))
            patience.note(
                (starting.done(), *map(facts, contexts)),
                tuple(sorted(airflow.task_states(home()).items())),
            )
            waiting = [
                ctx for ctx in waiting if not _finished(ctx, len(pictures.of(ctx.pipeline)), clock)
            ]
            time.sleep(_POLL_SECONDS)
    if waiting and patience.why:
        console.print(patience.why)


def facts(ctx: Context) -> Hashable:
    """Return what changes in the ledger when a picture comes nearer to its place."""
    counts, state = ctx.ledger.counts(ctx.pipeline), ctx.ledger.pipeline_state(ctx.pipeline)
    leaves = state.open_batches if state else ()
    return (
        (counts.records, counts.batches, answered(counts)),
        tuple((leaf.id, leaf.inferred, leaf.finished) for leaf in leaves),
        tuple(sorted((p, at.committed) for p, at in state.progress.items())) if state else (),
    )


def _answered(ctx: Context, clock: Clock) -> int:
    counts, before = ctx.ledger.counts(ctx.pipeline), clock.before[ctx.pipeline]
    if counts.batches > before.batches:
        clock.mark(f"{ctx.pipeline}: first batch planned")
    if counts.records > before.records:
        clock.mark(f"{ctx.pipeline}: first batch judged")
    return answered(counts) - answered(clock.base[ctx.pipeline])


def _finished(ctx: Context, pictures: int, clock: Clock) -> bool:
    """Say whether the pipeline is done: everything carried, or blocked until a person acts."""
    state = ctx.ledger.pipeline_state(ctx.pipeline)
    if state is not None and state.blocked is not None:
        return True
    try:
        carried = is_carried(ctx, pictures)
    except FrameferryError:
        return False
    if carried:
        clock.mark(ctx.pipeline)
    return carried


def _account(ctx: Context, pictures: _Pictures, clock: Clock) -> Account:
    mine = pictures.of(ctx.pipeline)
    one = account(
        ctx,
        mine,
        Path(stack.status()["ftp"]["root"]),
        began=datetime.fromtimestamp(clock.started, UTC),
        earlier=len(mine) - len(pictures.fresh(ctx.pipeline)),
        before=clock.base[ctx.pipeline],
    )
    if one.first_delivered_at is not None:
        moment = one.first_delivered_at.timestamp()
        clock.mark(f"{ctx.pipeline}: first picture delivered and verified", moment)
    return one


@contextmanager
def _context(pipeline: str) -> Iterator[Context]:
    with open_context(find_pipeline(pipelines_folder(), pipeline), resolve_from_environment) as ctx:
        yield ctx


def _use_stack() -> None:
    os.environ.update(stack.environment())


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    """Let a termination stop the servers too, as Ctrl-C does."""
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore an impatient second Ctrl-C: it would leave running what the first one asked to end."""
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(ending, signal.SIG_IGN) for ending in endings]
    try:
        yield
    finally:
        for ending, handler in zip(endings, before, strict=True):
            signal.signal(ending, handler)


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


@dataclass(frozen=True)
class _Pictures:
    """The pictures of all rounds up to the current one."""

    drawn: Sequence[DemoPicture]
    current: int

    def of(self, pipeline: str) -> list[DemoPicture]:
        return [picture for picture in self.drawn if picture.pipeline == pipeline]

    def fresh(self, pipeline: str) -> list[DemoPicture]:
        """Return those of the current round: all rounds draw equally many."""
        mine = self.of(pipeline)
        return mine[len(mine) // self.current * (self.current - 1) :]


class _Round:
    """Which round of pictures is under way: a finished one is followed by a new one."""

    @staticmethod
    def _path() -> Path:
        return home() / "demo.json"

    @classmethod
    def _read(cls) -> dict[str, Any]:
        try:
            return dict(json.loads(cls._path().read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {"round": 0, "finished": True}

    @classmethod
    def _write(cls, state: Mapping[str, object]) -> None:
        cls._path().parent.mkdir(parents=True, exist_ok=True)
        fresh = cls._path().with_suffix(".new")
        fresh.write_text(json.dumps(state), encoding="utf-8")
        fresh.replace(cls._path())

    @classmethod
    def current(cls) -> int:
        state = cls._read()
        number = int(state["round"]) + bool(state["finished"])
        if state["finished"]:
            cls._write({"round": number, "finished": False})
        return number

    @classmethod
    def base(cls, counted: Mapping[str, Counts]) -> dict[str, Counts]:
        """Say what the ledger held when the round began: *counted* if it begins now."""
        state = cls._read()
        if "base" not in state:
            state["base"] = {name: asdict(counts) for name, counts in counted.items()}
            cls._write(state)
        known: Mapping[str, Any] = state["base"]
        return {
            name: Counts(**{**asdict(NOTHING), **known[name]}) if name in known else NOTHING
            for name in counted
        }

    @classmethod
    def finish(cls) -> None:
        cls._write({"round": cls._read()["round"], "finished": True})
