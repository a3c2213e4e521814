"""The benchmark's parts: near (over loopback), far (20 ms away), scheduler (under Airflow)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.pipeline import ledgers
from benchmarks.pipeline.contestants import (
    FERRY,
    LOOP,
    OLD,
    SCHEDULED,
    STARTS,
    Contestant,
    Ferry,
    Scheduled,
    Stage,
    topic_of,
)
from benchmarks.pipeline.loads import (
    FAR,
    FAR_MILLISECONDS,
    NEAR,
    SCHEDULER,
    Load,
    far_load,
    grown_to,
    near_loads,
    scheduler_load,
)
from benchmarks.pipeline.models import make_models
from benchmarks.pipeline.options import Options
from benchmarks.pipeline.pictures import pictures
from benchmarks.pipeline.rounds import Arena, Round, Say
from benchmarks.pipeline.servers import (
    FtpSite,
    bootstrap,
    embedded,
    far_ftp_server,
    ftp_server,
)
from benchmarks.pipeline.topics import Backlog, Broker

Fill = Callable[[int], Backlog]
MOST_WARM_UP: Final = 600
GROWTHS: Final = 4


@dataclass(frozen=True)
class Ground:
    """What all parts stand on."""

    options: Options
    home: Path
    models: Path
    broker: Broker
    say: Say

    def stage(self, load: Load, site: FtpSite) -> Stage:
        decoding = self.options.loop_decoding
        return Stage(self.home, self.broker.bootstrap, self.models, site, load, decoding)


def run_parts(options: Options, say: Say) -> list[Round]:
    """Run the parts that are asked for; return all measured rounds."""
    with _ground(options, say) as ground:
        return [each for part in options.parts for each in _PARTS[part](ground)]


@contextmanager
def _ground(options: Options, say: Say) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as models:
        making = make_models(Path(models), options.models_needed)
        with embedded(options.folder, _servers(options)) as home:
            assert making.wait() == 0, "the models could not be made"
            say("servers are up, models are made")
            yield Ground(options, home, Path(models), Broker(bootstrap()), say)


def _servers(options: Options) -> list[str]:
    """List what is up from the start; Airflow only where nobody asks how fast the others are."""
    ftp = ["ftp"] if options.ftp == "embedded" else []
    airflow = ["airflow"] if not options.warm_up and SCHEDULER in options.parts else []
    return ["kafka", "spark", *ftp, *airflow]


def _near(ground: Ground) -> list[Round]:
    options = ground.options
    loads = near_loads(options.models, options.sizes, options.share, options.batches)
    with ftp_server(options.ftp, options.ftp_folder) as site:
        return [each for load in loads for each in _compete(ground, load, site, (FERRY, LOOP, OLD))]


def _far(ground: Ground) -> list[Round]:
    options = ground.options
    load = far_load(options.share)
    with far_ftp_server(options.ftp, options.ftp_folder, FAR_MILLISECONDS) as site:
        return _compete(ground, load, site, (FERRY, LOOP, OLD))


def _compete(ground: Ground, load: Load, site: FtpSite, names: Sequence[str]) -> list[Round]:
    """Warm all sides up, then let them carry backlog after backlog."""
    options, values, topic = ground.options, pictures(load.size), topic_of(load)
    mean_bytes = sum(map(len, values)) / len(values)
    ground.say(f"{load.part}, {load.model}, {load.size.name}, {mean_bytes / 1000:.0f} kB a picture")
    ground.broker.create(topic)
    rounds = []
    with _started(ground, load, site, names) as arena:
        fill = partial(ground.broker.fill, topic, values)
        _warm_up(ground, arena, fill)
        rounds_wanted = options.far_rounds if load.part == FAR else options.rounds
        for number in range(1, rounds_wanted + 1):
            rounds += arena.compete(fill(load.pictures), number)
    ground.broker.delete(topic)
    return rounds


def _warm_up(ground: Ground, arena: Arena, fill: Fill) -> None:
    """Carry backlogs that are not measured: they load models, and show the planner the pace."""
    if not ground.options.warm_up:
        return
    arena.warm_up(fill(ground.options.warm_up))
    if arena.load.part == NEAR:
        arena.warm_up(fill(min(-(-arena.load.pictures // 2), MOST_WARM_UP)))
    for side in arena.sides:
        if isinstance(side, Ferry | Scheduled):
            _grow(ground, arena, fill, side)


def _grow(ground: Ground, arena: Arena, fill: Fill, side: Ferry | Scheduled) -> None:
    """Bring the planner to full batches, from where the last backlog left it."""
    for _ in range(GROWTHS):
        last = ledgers.last_batch_offsets(ground.home, side.pipeline)
        if not (count := grown_to(arena.load.batch_records, last)):
            return
        arena.measure(side, fill(count), number=0)


@contextmanager
def _started(ground: Ground, load: Load, site: FtpSite, names: Sequence[str]) -> Iterator[Arena]:
    """Start sides, all at once; stop them whatever happens."""
    with ExitStack() as stack:
        sides: list[Contestant] = []
        for name in names:
            sides.append(STARTS[name](ground.stage(load, site)))
            stack.callback(sides[-1].stop)
        for side in sides:
            side.wait_ready()
        yield Arena(load, site, sides, ground.say)


def _scheduler(ground: Ground) -> list[Round]:
    """
    Carry one backlog by the command and one of the same pictures by the DAG, in turn.

    Airflow is up for the DAG only: what it costs at rest is not the command's. Where nothing is
    warm there is nothing to compare, and only the DAG carries.
    """
    options = ground.options
    load = scheduler_load(options.scheduled_pictures, options.scheduled_batches)
    ground.say(f"{SCHEDULER}, {load.model}, {load.size.name}, {load.batches} batches")
    for scheduled in (False, True):
        ground.broker.create(topic_of(load, scheduled=scheduled))
    with ftp_server(options.ftp, options.ftp_folder) as site:
        return [
            _one_side(ground, load, site, name, number)
            for number in range(1, options.scheduled_rounds + 1)
            for name in ((FERRY, SCHEDULED) if options.warm_up else (SCHEDULED,))
        ]


def _one_side(ground: Ground, load: Load, site: FtpSite, name: str, number: int) -> Round:
    values = pictures(load.size)
    topic = topic_of(load, scheduled=name == SCHEDULED)
    with _started(ground, load, site, (name,)) as arena:
        fill = partial(ground.broker.fill, topic, values)
        _warm_up(ground, arena, fill)
        (found,) = arena.compete(fill(load.pictures), number)
    return found


_PARTS: Final = {NEAR: _near, FAR: _far, SCHEDULER: _scheduler}
