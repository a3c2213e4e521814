"""Tell people by Airflow's notifiers, as the file of notifiers says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, cast

from airflow.sdk import Context
from airflow.sdk.bases.notifier import BaseNotifier

from frameferry.config.notifiers import NotifierSettings, notifiers, tells_failures
from frameferry.errors import ConfigError, NotTold
from frameferry.operations.monitor.message import Message, alarm_message, failure_message
from frameferry.operations.monitor.telling import News

log = logging.getLogger("airflow.task")

Callback = Callable[[Context], None]


def tell(told: News, wanted: Iterable[NotifierSettings], context: Context) -> None:
    """
    Tell each notifier what it wants to hear of; one that fails keeps no other from being told.

    Raises:
        ConfigError: A notifier's class cannot be used.
        NotTold: A notifier failed.
    """
    messages = [(one, alarm_message(told, one)) for one in wanted if "alarms" in one.tells]
    _send([(one, message) for one, message in messages if message is not None], context)


def failure_callback(pipeline: str) -> Callback | None:
    """Make what Airflow calls when a run of the pipeline failed; None if nobody is to be told."""
    if not tells_failures(pipeline):
        return None

    def tell_failure(context: Context) -> None:
        message = failure_message(
            pipeline,
            str(context["dag"].dag_id),
            str(context.get("run_id")),
            str(context.get("reason")),
        )
        wanted = [one for one in notifiers() if "failures" in one.tells]
        _send([(one, message) for one in wanted if one.wants_pipeline(pipeline)], _bare(context))

    return tell_failure


def _bare(context: Context) -> Context:
    """Leave the DAG out: `dag.test()` hands over one that cannot make templates' environment."""
    return cast("Context", {name: value for name, value in context.items() if name != "dag"})


def _send(messages: list[tuple[NotifierSettings, Message]], context: Context) -> None:
    made = [(_made(one), message) for one, message in messages]
    failed: list[str] = []
    for notifier, message in made:
        try:
            notifier(cast("Context", {**context, "frameferry": message.for_templates}))
        except Exception as error:
            # Whatever a provider raises; the others must still be told.
            log.exception("A notifier failed: %s", type(notifier).__name__)
            failed.append(f"{type(notifier).__name__} ({type(error).__name__})")
    if failed:
        msg = f"not told by {', '.join(failed)}"
        raise NotTold(msg, remedy="See the log, and the notifier's connection; it is tried again")


def _made(settings: NotifierSettings) -> Callable[[Context], Any]:
    """Make a notifier; its class is imported only now, so that no DAG file needs its provider."""
    module, _, name = settings.notifier.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"there is no notifier {settings.notifier}"
        raise ConfigError(msg, remedy="Install its provider, or mend the path") from error
    if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
        msg = f"{settings.notifier} is no notifier of Airflow's"
        raise ConfigError(msg, remedy="Name a subclass of airflow.sdk.BaseNotifier")
    try:
        return cast("Callable[[Context], Any]", kind(**settings.arguments))
    except TypeError as error:
        msg = f"{settings.notifier} cannot be made with these arguments: {error}"
        raise ConfigError(msg, remedy="See its documentation, and mend the arguments") from error
