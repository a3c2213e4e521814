"""The DAG behind the replay form: run the same steps again over what a person selects."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, get_parsing_context, task

from frameferry.config.settings import PipelineSettings
from frameferry.domain.selection import Asked
from frameferry.operations.replay import ReplayPlan, plan_replay
from frameferry.operations.selecting import selected
from frameferry.orchestration.factory import RETRY_ARGS, START, TAG, publish, verdict
from frameferry.orchestration.forms import (
    NAME,
    carried,
    pipeline_field,
    pipelines,
    refuse_unknown,
    window_fields,
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
    "last_failed": "last_failed",
    "record": "record",
    "quarantined": "quarantined",
    "resume_from": "resume_from",
    "label": "label",
    "below": "below",
}
"""Fields that select, with their names in `selected`; an empty one is not passed on."""
_FIELDS = {"pipeline", "mode", "dry_run", "piece_records", "into", *_SELECTS}
_NUMBER, _WORDS = ["null", "integer"], ["null", "string"]
_RECORD = r"^\s*([0-9]+:[0-9]+\s*)?$"
_PLACES = r"^\s*([0-9]+:[0-9]+([\s,]+|$))*$"
_FOLDER = r"^(/[^\x00-\x1f\x7f]*)?$"
_RANGES = r"^\s*([0-9]+:[0-9]+-[0-9]+([\s,]+|$))*$"
"""What the browser lets through; an empty field may be an empty text. The first task reads all."""


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
            piece_records=form["piece_records"],
            into=form["into"] or None,
        ),
    )
    _log_plan(plan)
    return list(plan.batch_ids)


def _selection(form: Any) -> Asked:  # noqa: ANN401 - Airflow's params are untyped
    given = {name: form[field] for field, name in _SELECTS.items() if not _is_empty(form[field])}
    for several in ("ranges", "resume_from"):
        if several in given:
            given[several] = given[several].replace(",", " ").split()
    return selected(**given)


def _is_empty(value: Any) -> bool:  # noqa: ANN401 - Airflow's params are untyped
    # To Python 0, which is a partition and an offset, is False.
    return value is None or value is False or value == ""


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
        "piece_records": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Records in a batch",
            description="At most; empty: batch.max_records, which it may not pass.",
        ),
        "into": Param(
            None,
            type=_WORDS,
            pattern=_FOLDER,
            title="Into",
            description="Another base folder on the same server, for copies; empty: the names "
            "that stand.",
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
    window = window_fields("By the records' own timestamps", section="A window of time")
    return {**_one_range(), **window, **_predicted(), **_others()}


def _one_range() -> dict[str, Param]:
    one: dict[str, Any] = {"type": _NUMBER, "section": "One range"}
    to = "Exclusive; at most the committed offset."
    return {
        "partition": Param(None, minimum=0, title="Partition", **one),
        "from_offset": Param(None, minimum=0, title="From offset", **one),
        "to_offset": Param(None, minimum=1, title="To offset", description=to, **one),
    }


def _predicted() -> dict[str, Param]:
    section = "What the judge said (a range, ranges or a window may bound it)"
    below = "All whose score is below; from 0 to 1."
    return {
        "label": Param(None, type=_WORDS, title="Label", section=section),
        "below": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=1,
            title="Score below",
            description=below,
            section=section,
        ),
    }


def _others() -> dict[str, Param]:
    other = {"section": "Or else"}
    ranges = "Of several partitions, for instance: 0:120-480, 1:0-90."
    onwards = "All that is committed from these offsets on, for instance: 0:120, 1:90."
    reason = "A reason: all that are in quarantine for it; to be judged again."
    place = {"description": "For instance 0:120.", "pattern": _RECORD}
    return {
        "ranges": Param(
            None, type=_WORDS, pattern=_RANGES, title="Ranges", description=ranges, **other
        ),
        "resume_from": Param(
            None, type=_WORDS, pattern=_PLACES, title="Resume from", description=onwards, **other
        ),
        "batch": Param(None, type=_NUMBER, minimum=1, title="Batch", **other),
        "last_failed": Param(default=False, type="boolean", title="The last failed batch", **other),
        "record": Param(None, type=_WORDS, title="Record", **place, **other),
        "quarantined": Param(
            None, type=_WORDS, title="Quarantined as", description=reason, **other
        ),
    }


_DOCUMENTATION = """
Run the steps again over what is committed already.

*redeliver* sends the pictures again by the predictions that stand; *reinfer* judges them again.
Select in one way: one range `[from, to)`, a window of time, ranges of several partitions, a batch,
the last failed one, a record, what is in quarantine for a reason, or what has a label or a low
score. Nothing beyond the committed offset can be
replayed, and the committed offset does not move. *Into* another base folder go copies: the files
and labels that stand go on standing. With *dry run* the first task's log says what
would be done.

A replay that was interrupted is taken up by the same form: what it had finished is not done again.
"""
