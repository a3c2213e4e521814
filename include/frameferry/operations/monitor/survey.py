"""Ask many pipelines for their status, in bounded time; none that is silent hides another."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from frameferry.config.connections import ConnectionResolver
from frameferry.config.folder import broken_names, load_all
from frameferry.config.home import ledger_url, pipelines_folder
from frameferry.config.settings import PipelineSettings
from frameferry.domain.status import Answer, Status, Unasked
from frameferry.errors import ConfigError, FrameferryError
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.operations.monitor.clusters import Clusters
from frameferry.operations.status import status
from frameferry.pipeline.context import Context

PATIENCE_SECONDS: Final = 120.0
"""For all of them; who has not answered by then is said to be silent."""
KAFKA_TIMEOUT_SECONDS: Final = 5.0
_AT_ONCE: Final = 4

log = structlog.get_logger()


def survey_all(
    resolve: ConnectionResolver, *, patience_seconds: float = PATIENCE_SECONDS
) -> tuple[Answer, ...]:
    """
    Ask every pipeline of the folder; a broken file is a pipeline that cannot be asked.

    Raises:
        ConfigError: The folder does not exist.
    """
    whole, broken = load_all(pipelines_folder())
    answers = survey(whole.values(), resolve, patience_seconds=patience_seconds)
    return tuple(sorted([*answers, *_unread(whole, broken)], key=lambda one: one.pipeline))


def survey(
    wanted: Iterable[PipelineSettings],
    resolve: ConnectionResolver,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[Answer, ...]:
    """
    Ask some pipelines, four at once, through one ledger and one client of each Kafka a thread.

    Args:
        wanted: Their settings.
        resolve: Finds connections; each is asked for once.
        patience_seconds: After that, those that are missing are left, and said to be silent.

    Returns:
        An answer of each, in their order.
    """
    settings = list(wanted)
    try:
        ledger = open_ledger(ledger_url())
    except FrameferryError as error:
        return tuple(Unasked(one.pipeline, str(error)) for one in settings)
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="frameferry-survey")
    with closing(ledger), closing(_Asking(ledger, cache(resolve))) as asking:
        futures = [pool.submit(asking.ask, one) for one in settings]
        wait(futures, timeout=patience_seconds)
        pool.shutdown(wait=False, cancel_futures=True)
        return tuple(
            _answer(one, future, patience_seconds)
            for one, future in zip(settings, futures, strict=True)
        )


class _Asking:
    """Ask pipelines in several threads, each with clients of its own."""

    def __init__(self, ledger: Ledger, resolve: ConnectionResolver) -> None:
        self._ledger = ledger
        self._resolve = resolve
        self._of_thread = threading.local()
        self._opened: list[Clusters] = []

    def ask(self, settings: PipelineSettings) -> Answer:
        """Ask one; whatever is wrong with it is its answer."""
        try:
            return self._status(settings)
        except FrameferryError as error:
            return Unasked(settings.pipeline, str(error.at(pipeline=settings.pipeline)))
        except Exception as error:
            # One pipeline must not hide the others; the error's text may hold a secret.
            log.exception("survey.failed", pipeline=settings.pipeline)
            what = f"{type(error).__name__} while it was asked; see the log"
            return Unasked(settings.pipeline, what)

    def close(self) -> None:
        """Close all clients."""
        for clusters in self._opened:
            clusters.close()

    def _status(self, settings: PipelineSettings) -> Status:
        ctx = Context(
            settings,
            self._ledger,
            self._resolve,
            open_cluster=self._clusters().open,
            kafka_timeout_seconds=KAFKA_TIMEOUT_SECONDS,
        )
        return status(ctx)

    def _clusters(self) -> Clusters:
        if not hasattr(self._of_thread, "clusters"):
            self._of_thread.clusters = Clusters()
            self._opened.append(self._of_thread.clusters)
        clusters: Clusters = self._of_thread.clusters
        return clusters


def _answer(settings: PipelineSettings, future: Future[Answer], patience_seconds: float) -> Answer:
    if future.done() and not future.cancelled():
        return future.result()
    return Unasked(settings.pipeline, f"No answer within {patience_seconds:g} s")


def _unread(
    whole: Mapping[Path, PipelineSettings], broken: Mapping[Path, ConfigError]
) -> list[Unasked]:
    named = broken_names(whole, broken)
    return [Unasked(name, str(error)) for name, error in named.items()]
