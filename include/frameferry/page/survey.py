"""Ask every pipeline for its status at once, in bounded time, for all viewers together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from frameferry.config.folder import load_all
from frameferry.config.home import pipelines_folder
from frameferry.config.settings import PipelineSettings
from frameferry.domain.status import Answer, Status, Unasked
from frameferry.errors import ConfigError, FrameferryError, encodable

Ask = Callable[[PipelineSettings], Status]
Load = Callable[[], tuple[dict[Path, PipelineSettings], dict[Path, ConfigError]]]

PATIENCE_SECONDS = 8.0
FRESH_SECONDS = 2.0
_AT_ONCE = 8

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Broken:
    """A pipeline file that cannot be read. `pipeline` is what the file's name says."""

    pipeline: str
    file: str
    error: str


@dataclass(frozen=True, slots=True)
class Survey:
    """
    What was found at one moment.

    `pipelines` are in the order of their names, also those that could not be asked. `trouble` says
    why nothing at all could be asked; None otherwise.
    """

    asked_at: datetime
    pipelines: tuple[Answer, ...]
    broken: tuple[Broken, ...]
    trouble: str | None = None

    def only(self, readable: Callable[[str], bool]) -> Survey:
        """Leave out the pipelines that a person may not read."""
        return Survey(
            self.asked_at,
            tuple(one for one in self.pipelines if readable(one.pipeline)),
            tuple(one for one in self.broken if readable(one.pipeline)),
            self.trouble,
        )


class Surveyor:
    """
    Survey all pipelines; may be called by many threads at once.

    A survey younger than *fresh_seconds* is returned again, so that ten viewers ask Kafka no more
    often than one. A pipeline that does not answer within *patience_seconds* is shown as silent,
    and is not asked a second time while the first question is still open.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        load: Load = lambda: load_all(pipelines_folder()),
        patience_seconds: float = PATIENCE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._ask = ask
        self._load = load
        self._patience_seconds = patience_seconds
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="frameferry-page")
        self._open: dict[str, Future[Answer]] = {}
        self._last: tuple[float, Survey] | None = None

    def survey(self) -> Survey:
        """Ask all pipelines, or return what was found a moment ago."""
        with self._lock:
            if self._last is not None and time.monotonic() - self._last[0] < self._fresh_seconds:
                return self._last[1]
            found = self._survey()
            self._last = time.monotonic(), found
            return found

    def _survey(self) -> Survey:
        asked_at = datetime.now(UTC)
        try:
            whole, broken = self._load()
        except FrameferryError as error:
            return Survey(asked_at, (), (), str(error))
        return Survey(asked_at, self._statuses(whole.values()), _broken(broken))

    def _statuses(self, wanted: Iterable[PipelineSettings]) -> tuple[Answer, ...]:
        asked = {settings.pipeline: self._start(settings) for settings in wanted}
        wait(asked.values(), timeout=self._patience_seconds)
        return tuple(self._answer(name, future) for name, future in sorted(asked.items()))

    def _start(self, settings: PipelineSettings) -> Future[Answer]:
        name = settings.pipeline
        if name not in self._open:
            self._open[name] = self._pool.submit(self._status, settings)
        return self._open[name]

    def _answer(self, name: str, future: Future[Answer]) -> Answer:
        if not future.done():
            return Unasked(name, f"No answer within {self._patience_seconds:g} s; still asking")
        del self._open[name]
        return future.result()

    def _status(self, settings: PipelineSettings) -> Answer:
        try:
            return self._ask(settings)
        except FrameferryError as error:
            return Unasked(settings.pipeline, str(error))
        except Exception as error:
            # One pipeline must not break the page for others; the error's text may hold a secret.
            log.exception("page.failed", pipeline=settings.pipeline)
            what = f"{type(error).__name__} while it was asked; see the api-server's log"
            return Unasked(settings.pipeline, what)


def _broken(errors: dict[Path, ConfigError]) -> tuple[Broken, ...]:
    return tuple(
        Broken(encodable(path.stem), encodable(path.name), str(error))
        for path, error in sorted(errors.items())
    )
