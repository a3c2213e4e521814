"""The DAG that looks at all pipelines every few minutes, measures them, and tells what is new."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow.sdk import DAG, Asset, get_current_context, get_parsing_context, task
from airflow.sdk.observability import stats

from frameferry.config.memory import bound_arenas
from frameferry.config.notifiers import notifiers
from frameferry.domain.status import Answer
from frameferry.operations.monitor.gauges import PREFIX, Sample, samples
from frameferry.operations.monitor.survey import survey_all
from frameferry.operations.monitor.telling import (
    News,
    memory_from_json,
    memory_to_json,
    news,
)
from frameferry.orchestration.connections import resolve_through_airflow
from frameferry.orchestration.factory import RETRY_ARGS, START, TAG
from frameferry.orchestration.notifying import tell
from frameferry.orchestration.tasks import airflow_errors

log = logging.getLogger("airflow.task")

DAG_ID: Final = "monitor"
EVERY: Final = timedelta(minutes=5)
_TOLD: Final = Asset("frameferry_told")
"""Not produced by anybody: Airflow keeps, in its state store, which alarms were told."""
_STANDING: Final = "standing"
_PATIENCE: Final = timedelta(minutes=4)
"""A look is over before the next begins, whatever is silent."""


def monitor_dag() -> DAG | None:
    """Build the monitor's DAG; None if Airflow is about to run another one."""
    if get_parsing_context().dag_id not in {None, DAG_ID}:
        return None
    with DAG(
        dag_id=DAG_ID,
        schedule=EVERY,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args={**RETRY_ARGS, "execution_timeout": _PATIENCE},
        tags=[TAG, "monitor"],
        doc_md=_DOCUMENTATION,
    ) as dag:
        look()
    return dag


@task(inlets=[_TOLD])
def look() -> None:
    """Look at every pipeline, push its gauges, and tell what is new since the last look."""
    bound_arenas()
    context, now = get_current_context(), datetime.now(UTC)
    with airflow_errors():
        wanted = notifiers()
        answers = survey_all(resolve_through_airflow)
        _push(samples(answers, now))
        store = context["asset_state_store"]
        found = news(memory_from_json(store.get(_STANDING, {})), answers, now)
        _log(answers, found)
        # Remembered only once it was told: else nobody would hear of it.
        tell(found, wanted, context)
        store.set(_STANDING, memory_to_json(found.memory))


def _push(measured: Iterable[Sample]) -> None:
    """Set each gauge through Airflow's metrics, which go nowhere unless they are switched on."""
    for sample in measured:
        stats.gauge(f"{PREFIX}.{sample.gauge.name}", sample.value, tags=dict(sample.tags))


def _log(answers: Iterable[Answer], found: News) -> None:
    for answer in answers:
        for alarm in answer.alarms:
            log.warning(
                "%s: %s: %s: %s", answer.pipeline, alarm.severity, alarm.kind, alarm.sentence
            )
        if answer.healthy:
            log.info("%s: healthy", answer.pipeline)
    log.info("%d alarms are new, %d are over", len(found.new), len(found.over))


_DOCUMENTATION = """
Looks at every pipeline every five minutes, also while none of them runs.

Its task's log has all alarms that stand. Each is told once to whom `notifiers.yaml` names, and once
more when it is over; the gauges go out by Airflow's own metrics. The task fails only if it could
not look, or not tell: an alarm is no failure of the monitor's.

See `docs/alarms.md`, and `frameferry alarms`.
"""
