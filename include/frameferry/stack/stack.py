"""All embedded servers of one home: start, stop, describe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import structlog

from frameferry.config.folder import load_all
from frameferry.config.home import home, ledger_url, masked_url, pipelines_folder
from frameferry.config.pools import pool_slots
from frameferry.errors import ConfigError, StackError
from frameferry.stack import (
    airflow,
    doors,
    ftp,
    kafka,
    layout,
    ports,
    processes,
    revival,
    servers,
    spark,
    watcher,
)
from frameferry.stack.lock import locked
from frameferry.stack.servers import Kind
from frameferry.stack.state import ServerRecord, StackState, StateFile

SERVERS = ("kafka", "spark", "ftp", "airflow")
OnProgress = Callable[[str], None]
_JUST_SECONDS = 60.0
# A running task would go on asking the api-server, which is stopped with it: killing it is safe.
_GRACE_SECONDS = {"airflow": 3.0, "others": 10.0}

log = structlog.get_logger(__name__)


def up(
    only: Sequence[str] | None = None,
    *,
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
) -> StackState:
    """
    Start the servers that do not run yet, all at once, and wait until each answers.

    From then on a server that dies is started again, until a person stops it. May be called again
    at any time, also after a kill: data, ports and passwords stay. A running Airflow gets the pools
    of new pipelines.

    Args:
        only: Names out of SERVERS; None is all.
        on_progress: Is told one line for each server that is up, from several threads; None is
            the log.
        cancelled: Is set, by another thread, when nobody waits any more.

    Raises:
        StackError: A server did not start; those that did stay up. Or there is no checkout, which
            Airflow needs: nothing was started.
    """
    wanted = _checked(only)
    if "airflow" in wanted:
        layout.checkout()
    with locked() as files:
        files.change(lambda state: _pardon(state, wanted))
        kinds = [kind for kind in _kinds(files, wanted) if kind.name in wanted]
        for kind in kinds:
            servers.reserve(kind, files)
        try:
            _start_all(kinds, files, on_progress or _logged, cancelled or threading.Event())
        finally:
            _watch(files)
        return files.state


def down(only: Sequence[str] | None = None) -> None:
    """
    Stop the servers, whoever started them and however much of them is left; their state stays.

    Raises:
        StackError: A process does not end.
    """
    wanted = _checked(only)
    if not home().is_dir():
        return
    # First, since it may hold the home for minutes while it starts a server again.
    processes.stop(StateFile(home()).state.mark(watcher.NAME))
    with locked() as files:
        ending = (*wanted, watcher.NAME)
        with ThreadPoolExecutor(len(ending)) as pool:
            list(pool.map(lambda name: _stop(name, files), ending))
        files.change(lambda state: _forget(state, ending))
        _watch(files)


def revive(name: str, *, on_progress: OnProgress | None = None) -> None:
    """
    Start a dead server of `up` again; if it is being started, wait for it.

    Return at once if it lives and answers. Do nothing if a person stopped it.

    Args:
        name: Which server.
        on_progress: Is told each try in one line; None is the log.

    Raises:
        StackError: It died again and again; it stays down until a person starts it.
    """
    record = StateFile(home()).state.servers.get(name)
    if record is None or not record.wanted or _answers(record):
        return
    revival.revive(name, lambda files: _kind(name, files), on_progress or _logged)


def death(name: str) -> str:
    """Say what became of a server that died; if it lives again, only for a minute after that."""
    state = StateFile(home()).state
    record = state.servers.get(name, ServerRecord())
    if record.given_up:
        return str(revival.refusal(name, record))
    if record.is_down:
        return f"{revival.death(name, record, home())}; {_helper(name, state)} starts it again"
    if record.wanted and record.revived and time.time() - record.revived[-1] < _JUST_SECONDS:
        return f"{name} had died and was started again; try once more"
    return ""


def server_behind(variable: str, value: str) -> str | None:
    """Name the server of this home that a variable describes; None if it is somebody's own."""
    return doors.server_behind(variable, value, StateFile(home()).state)


def status() -> dict[str, Any]:
    """
    Describe each server of the home: whether it runs, its address, how to log in.

    The servers' own passwords are in it, and no other: show it to the home's owner only.
    """
    state = StateFile(home()).state
    described: dict[str, Any] = {
        name: {**_condition(state.servers[name], name), **doors.door(name, state)}
        for name in SERVERS
        if name in state.servers
    }
    if watcher.NAME in state.servers:
        described[watcher.NAME] = {"up": state.servers[watcher.NAME].is_up}
    return {**described, "ledger": {"url": masked_url(ledger_url())}}


def environment() -> dict[str, str]:
    """
    List the variables that point a program at this home's servers and files.

    A connection is in it only if its server runs, or died and is started again. Airflow's database
    is in it only if the same is true of Airflow. Otherwise the user's own shows through.
    """
    state = StateFile(home()).state
    described = doors.environment(state, _there(state))
    if "airflow" in _there(state):
        described |= airflow.build(doors.setting(state, "airflow"), {}, {}).for_commands()
    return described


def _start_all(
    kinds: Sequence[Kind], files: StateFile, on_progress: OnProgress, cancelled: threading.Event
) -> None:
    """Start them all at once and wait for all of them; then raise the first error."""

    def start(kind: Kind) -> None:
        seconds = servers.start(kind, files, cancelled=cancelled)
        files.change(lambda state: _want(state, kind.name))
        on_progress(f"{kind.name} is up ({seconds:.1f} s)")

    with ThreadPoolExecutor(len(kinds)) as pool:
        started = [pool.submit(start, kind) for kind in kinds]
        try:
            wait(started)
        except BaseException:
            # Ctrl-C: otherwise we would wait for servers that nobody wants any more.
            cancelled.set()
            raise
    for future in started:
        future.result()


def _watch(files: StateFile) -> None:
    """Make sure that a watcher runs if there is anything to watch."""
    if any(record.wanted for record in files.state.servers.values()):
        servers.start(watcher.KIND, files)


def _stop(name: str, files: StateFile) -> None:
    grace_seconds = _GRACE_SECONDS.get(name, _GRACE_SECONDS["others"])
    processes.stop(files.state.mark(name), grace_seconds=grace_seconds)


def _kinds(files: StateFile, wanted: Collection[str]) -> list[Kind]:
    def connections() -> Mapping[str, str]:
        # Airflow may be the first to need the FTP server's password: then it makes it.
        return doors.environment(files.state, _there(files.state) | set(wanted), files.secret)

    return [kafka.KIND, spark.KIND, ftp.KIND, airflow.kind(connections, _pools())]


def _kind(name: str, files: StateFile) -> Kind:
    return next(kind for kind in _kinds(files, ()) if kind.name == name)


def _there(state: StackState) -> set[str]:
    """List the servers that run, or would if they had not died."""
    return {name for name, record in state.servers.items() if record.is_up or record.wanted}


def _answers(record: ServerRecord) -> bool:
    """Say whether it lives and is not only about to start."""
    return record.is_up and ports.answers(next(iter(record.ports.values())))


def _condition(record: ServerRecord, name: str) -> dict[str, Any]:
    return {"up": record.is_up, **({"died": death(name)} if record.is_down else {})}


def _helper(name: str, state: StackState) -> str:
    if watcher.NAME in state.servers and state.servers[watcher.NAME].is_up:
        return "the watcher"
    return "`frameferry stack up`" if name == "airflow" else "the next `frameferry run`"


def _pools() -> dict[str, int]:
    try:
        whole, _ = load_all(pipelines_folder())
    except ConfigError:
        whole = {}
    return pool_slots(whole.values())


def _checked(only: Sequence[str] | None) -> tuple[str, ...]:
    if only is None:
        return SERVERS
    unknown = [name for name in only if name not in SERVERS]
    if unknown or not only:
        msg = f"no server {', '.join(unknown) or 'named'}"
        raise StackError(msg, remedy=f"The servers are {', '.join(SERVERS)}")
    return tuple(dict.fromkeys(only))


def _want(state: StackState, name: str) -> None:
    state.server(name).wanted = True


def _pardon(state: StackState, names: Sequence[str]) -> None:
    """Count the tries of these servers anew: a person asks for them now."""
    for record in (state.servers[name] for name in names if name in state.servers):
        record.revived, record.given_up = [], ""


def _forget(state: StackState, names: Sequence[str]) -> None:
    _pardon(state, names)
    for record in (state.servers[name] for name in names if name in state.servers):
        record.processes, record.wanted = {}, False


def _logged(line: str) -> None:
    log.info("stack.progress", line=line)
