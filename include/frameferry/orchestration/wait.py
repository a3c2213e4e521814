"""Wait for work: go on at once if there is some, otherwise defer on a trigger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from frameferry.config.folder import find_again
from frameferry.domain.state import Readiness
from frameferry.orchestration.tasks import call_step
from frameferry.pipeline import context, steps
from frameferry.pipeline.envoys import Envoys, by_envoy

POLL_SECONDS = 3.0
"""Pause between two looks into Kafka and the ledger, with up to 60 pipelines waiting."""
_LOOKS_PER_SECOND: Final = 20.0
"""Looks of all pipelines in a triggerer: half a core. If more wait, each looks less often."""
_PATIENCE = timedelta(days=365)
_ENVOYS: Final = Envoys()
"""The triggerer's envoys: librdkafka may end a process, so it never runs in this one."""
_THREADS: Final = ThreadPoolExecutor(32, thread_name_prefix="frameferry-wait")
"""Our own: waits for a silent Kafka would take all the threads that Airflow's triggers share."""


class Waiting:
    """Count who waits in this process, and say how long each pauses between two looks."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one while the block lasts."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    @property
    def pause_seconds(self) -> float:
        """At least POLL_SECONDS; from 60 waiting pipelines on, in proportion to their number."""
        return max(POLL_SECONDS, self._count / _LOOKS_PER_SECOND)


_WAITING: Final = Waiting()


class BacklogTrigger(BaseTrigger):
    """
    Fire once there is work plannable now, after lingering for more.

    Level-triggered: it asks the same question until the answer is yes, keeps no offset of its own
    and commits none, so no wake-up can be lost.
    """

    def __init__(self, pipeline: str, linger_seconds: float) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.linger_seconds = linger_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments; no secret is among them."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"pipeline": self.pipeline, "linger_seconds": self.linger_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is work; a failure is an event too, so that the task reports it."""
        ask = sync_to_async(_readiness_by_envoy, thread_sensitive=False, executor=_THREADS)
        try:
            with _WAITING.one_more():
                while not (await ask(self.pipeline)).now:  # noqa: ASYNC110 - Kafka and the ledger ring no event
                    await asyncio.sleep(_WAITING.pause_seconds)
        except AirflowException as error:
            yield TriggerEvent({"error": str(error)})
            return
        await asyncio.sleep(self.linger_seconds)
        yield TriggerEvent({})


class WaitForBacklog(BaseOperator):
    """Succeed when there is work plannable now; hold no worker slot until then."""

    ui_color = "#eef4ff"

    def __init__(self, *, pipeline: str, linger_seconds: float, **kwargs: Any) -> None:  # noqa: ANN401 - Airflow's own signature
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.linger_seconds = linger_seconds

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow's own signature
        """Return at once if there is work; defer otherwise."""
        readiness = _readiness(self.pipeline)
        self.log.info("%s", readiness.reason)
        if not readiness.now:
            self.defer(
                trigger=BacklogTrigger(self.pipeline, self.linger_seconds),
                method_name=self.resume.__name__,
                timeout=_PATIENCE,
            )

    def resume(self, context: Context, event: dict[str, Any]) -> None:  # noqa: ARG002 - Airflow's own signature
        """Go on after the trigger fired; raise what it could not ask."""
        if "error" in event:
            raise AirflowException(event["error"])


def _readiness_by_envoy(pipeline: str) -> Readiness:
    """Ask from the triggerer, but Kafka in another process: other triggers live in this one."""
    return _readiness(pipeline, _wait_by_envoy)


def _wait_by_envoy(ctx: context.Context) -> Readiness:
    return steps.wait(by_envoy(ctx, _ENVOYS))


def _readiness(
    pipeline: str, wait: Callable[[context.Context], Readiness] = steps.wait
) -> Readiness:
    """
    Ask, and let Airflow retry every error, even one that needs a person.

    A task that failed at once would end its run, and the next run would begin at once.
    """
    try:
        return call_step(pipeline, wait, find_again)
    except AirflowFailException as error:
        raise AirflowException(str(error)) from error
