"""Start a dead embedded server again: how often, after which pause, and what is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from frameferry.errors import StackError
from frameferry.stack import ports, processes, servers
from frameferry.stack.lock import locked
from frameferry.stack.servers import Kind
from frameferry.stack.state import ServerRecord, StateFile

STARTS = 3
WITHIN_SECONDS = 600.0
PAUSES_SECONDS = (0.0, 3.0, 12.0)
"""The pause before each start, from the beginning of the one before it."""
_LINE_LENGTH = 200
_NEXT_LOOK_SECONDS = 0.1

Say = Callable[[str], None]


def revive(name: str, kind: Callable[[StateFile], Kind], say: Say) -> None:
    """
    Start a dead server again, on its ports, and wait until it answers.

    If another process starts it, wait for that. Do nothing to a server that lives, that nobody
    asked for, or that a person stopped.

    Args:
        name: Which server.
        kind: Describes it, once the home is ours.
        say: Is told each try in one line: why it died, its log, and how the try ended.

    Raises:
        StackError: All tries are used up, until a person starts it; names its log.
    """
    while (pause_seconds := _look(name, kind, say)) > 0:
        # The home is free meanwhile: a person may stop the server, or start it.
        time.sleep(pause_seconds)


def death(name: str, record: ServerRecord, home: Path) -> str:
    """Say what is known of a server's death: its exit status, and how and when its log ends."""
    ends = [
        ", ".join(filter(None, (processes.ending(spawned), _end_of(_log(home, process)))))
        for process, spawned in record.processes.items()
        if not processes.is_alive(spawned)
    ]
    return f"{name} died ({'; '.join(ends)})" if ends else f"{name} is down"


def refusal(name: str, record: ServerRecord) -> StackError:
    """Make the error for a server that is given up."""
    minutes = WITHIN_SECONDS / 60
    msg = f"{name} died, and {STARTS} new starts within {minutes:.0f} min did not keep it up"
    remedy = f"`frameferry stack up --only {name}` starts it once this is put right: "
    return StackError(msg, remedy=remedy + record.given_up)


def lately(record: ServerRecord) -> list[float]:
    """List the starts that still count; times in the future, from a clock put back, do not."""
    now = time.time()
    return [moment for moment in record.revived if 0 <= now - moment < WITHIN_SECONDS]


def _look(name: str, kind: Callable[[StateFile], Kind], say: Say) -> float:
    """Start it if it is down and its time has come; return the seconds to the next look, or 0."""
    with locked() as files:
        record = files.state.servers.get(name)
        if record is None or not record.is_down:
            return 0
        if not record.given_up and len(lately(record)) >= STARTS:
            _give_up(record, files, why=_last_words(name, record, files.home))
        if record.given_up:
            raise refusal(name, record)
        pause_seconds = _pause(lately(record))
        if pause_seconds <= 0:
            return 0 if _started(kind(files), files, say) else _NEXT_LOOK_SECONDS
        return pause_seconds


def _pause(starts: list[float]) -> float:
    if not starts:
        return 0
    return starts[-1] + PAUSES_SECONDS[len(starts)] - time.time()


def _started(kind: Kind, files: StateFile, say: Say) -> bool:
    record = files.state.server(kind.name)
    died = death(kind.name, record, files.home)
    # Counted first: a start that is killed counts too.
    files.change(lambda _: _count(record))
    say(f"{died}: starting it again, {len(record.revived)} of {STARTS}")
    try:
        _keep_ports(kind, files)
        seconds = servers.start(kind, files)
    except StackError as error:
        say(f"{kind.name} did not start: {error.what}")
        if len(record.revived) >= STARTS:
            _give_up(record, files, why=str(error))
        return False
    say(f"{kind.name} is up again ({seconds:.1f} s)")
    return True


def _count(record: ServerRecord) -> None:
    record.revived = [*lately(record), time.time()]


def _give_up(record: ServerRecord, files: StateFile, *, why: str) -> None:
    def give_up(_: object) -> None:
        record.given_up = why

    files.change(give_up)


def _keep_ports(kind: Kind, files: StateFile) -> None:
    """
    Make sure that its ports are free: on others, Airflow and others would not find it.

    Raises:
        StackError: One of its processes does not end, or another program has one of its ports.
    """
    state = files.state
    processes.stop(state.mark(kind.name))
    kept, taken = state.server(kind.name).ports, state.taken_ports(but=kind.name)
    if ports.choose(kind.ports, kept, taken=taken) != kept:
        msg = f"another program has a port of {kind.name} ({', '.join(map(str, kept.values()))})"
        raise StackError(msg, remedy="End it, or `frameferry stack up` chooses other ports")


def _last_words(name: str, record: ServerRecord, home: Path) -> str:
    tails = [
        f"{log}, which ends:\n{processes.last_lines(log)}"
        for log in (_log(home, process) for process in record.processes)
        if log.exists()
    ]
    return ". See ".join(filter(None, (death(name, record, home), "; ".join(tails))))


def _log(home: Path, process: str) -> Path:
    return servers.Setting(home, {}, str).log(process)


def _end_of(log: Path) -> str:
    try:
        ended = datetime.fromtimestamp(log.stat().st_mtime, tz=UTC).astimezone()
    except OSError:
        return f"without a log at {log}"
    line = processes.last_lines(log, 1).strip()[:_LINE_LENGTH]
    return f"{log} ends at {ended:%Y-%m-%d %H:%M:%S}: {line}"
