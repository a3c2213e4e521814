"""The DAG behind the replay form: run the same steps again over what a person selects."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, get_parsing_context, task

from frameferry.config.settings import PipelineSettings
from frameferry.domain.selection import Selection
from frameferry.operations.replay import ReplayPlan, plan_replay
from frameferry.operations.selecting import selected
from frameferry.orchestration.factory import RETRY_ARGS, START, TAG, publish, verdict
from frameferry.orchestration.forms import (
    EMPTY,
    NAME,
    carried,
    pipeline_field,
    pipelines,
    refuse_unknown,
)
from frameferry.orchestration.person import person
from frameferry.orchestration.tasks import airflow_errors, call_step

log = logging.getLogger("airflow.task")

DAG_ID = "replay"
_SELECTS = {
    "partition": "partition",
    "from_offset": "start",
    "to_offset": "end",
    "ranges": "ranges",
    "since": "since",
    "until": "until",
    "batch": "batch",
    "record": "record",
    "quarantined": "quarantined",
}
"""Fields that select, with their names in `selected`; an empty one is not passed on."""
_FIELDS = {"pipeline", "mode", "dry_run", *_SELECTS}


def replay_dag() -> DAG | None:
    """Build the replay DAG; None if Airflow is about to run another one."""
    if get_parsing_context().dag_id not in {None, DAG_ID}:
        return None
    offered = pipelines()
    with DAG(
        dag_id=DAG_ID,
        schedule=None,
        start_date=START,
        max_active_runs=1,
        default_args=RETRY_ARGS,
        tags=[TAG, "replay"],
        params=_form(offered),
        doc_md=_DOCUMENTATION,
    ) as dag:
        planned = prepare()
        groups = carried(offered, planned)
        groups >> publish(NAME)
        groups >> verdict(NAME, planned)
    return dag


@task
def prepare() -> list[int]:
    """Check the form again, say what will be done, and freeze the replay's batches."""
    context = get_current_context()
    form = context["params"]
    with airflow_errors():
        refuse_unknown(DAG_ID, _FIELDS, context["dag_run"].conf or {})
        selection = _selection(form)
    plan = call_step(
        form["pipeline"],
        lambda ctx: plan_replay(
            ctx,
            selection,
            mode=form["mode"],
            dry_run=bool(form["dry_run"]),
            who=person(),
        ),
    )
    _log_plan(plan)
    return list(plan.batch_ids)


def _selection(form: Any) -> Selection:  # noqa: ANN401 - Airflow's params are untyped
    given = {name: form[field] for field, name in _SELECTS.items() if form[field] not in EMPTY}
    if "ranges" in given:
        given["ranges"] = given["ranges"].replace(",", " ").split()
    return selected(**given)


def _log_plan(plan: ReplayPlan) -> None:
    log.info("%s%s", "" if plan.batch_ids else "dry run: ", plan.sentence)


def _form(offered: list[PipelineSettings]) -> dict[str, Param]:
    return {
        "pipeline": pipeline_field(offered),
        **_selecting(),
        "mode": Param(
            "redeliver",
            type="string",
            enum=["redeliver", "reinfer"],
            values_display={
                "redeliver": "redeliver: keep the predictions",
                "reinfer": "reinfer: judge again with today's model",
            },
            title="Mode",
        ),
        "dry_run": Param(
            default=True,
            type="boolean",
            title="Dry run",
            description="Only say what would be done.",
        ),
    }


def _selecting() -> dict[str, Param]:
    """Make the fields that select; a person fills in those of one way."""
    number, words = ["null", "integer"], ["null", "string"]
    one = {"section": "One range"}
    time = {"section": "A window of time"}
    other = {"section": "Or else"}
    return {
        "partition": Param(None, type=number, minimum=0, title="Partition", **one),
        "from_offset": Param(None, type=number, minimum=0, title="From offset", **one),
        "to_offset": Param(
            None,
            type=number,
            minimum=1,
            title="To offset",
            description="Exclusive; at most the committed offset.",
            **one,
        ),
        "since": Param(
            None,
            type=words,
            title="Since",
            description="By the records' own timestamps; for instance 2026-05-01T06:00:00Z.",
            **time,
        ),
        "until": Param(None, type=words, title="Until", description="Exclusive.", **time),
        "ranges": Param(
            None,
            type=words,
            title="Ranges",
            description="Of several partitions, for instance: 0:120-480, 1:0-90.",
            **other,
        ),
        "batch": Param(None, type=number, minimum=1, title="Batch", **other),
        "record": Param(
            None, type=words, title="Record", description="For instance 0:120.", **other
        ),
        "quarantined": Param(
            None,
            type=words,
            title="Quarantined as",
            description="A reason: all that are in quarantine for it; to be judged again.",
            **other,
        ),
    }


_DOCUMENTATION = """
Run the steps again over what is committed already.

*redeliver* sends the pictures again by the predictions that stand; *reinfer* judges them again.
Select in one way: one range `[from, to)`, a window of time, ranges of several partitions, a batch,
a record, or what is in quarantine for a reason. Nothing beyond the committed offset can be
replayed, and the committed offset does not move. With *dry run* the first task's log says what
would be done.

A replay that was interrupted is taken up by the same form: what it had finished is not done again.
"""
