"""The DAG behind the audit form: compare, write the report into files, repair if asked to."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, get_parsing_context, task
from airflow.sdk.exceptions import AirflowFailException

from frameferry.config.settings import PipelineSettings
from frameferry.operations.audit.auditing import Wish, audit
from frameferry.operations.audit.page import write_files
from frameferry.operations.audit.repairing import repair
from frameferry.operations.audit.telling import lines
from frameferry.operations.audit.wishing import wished
from frameferry.orchestration.factory import RETRY_ARGS, START, TAG, verdict
from frameferry.orchestration.forms import (
    EMPTY,
    NAME,
    carried,
    pipeline_field,
    pipelines,
    refuse_unknown,
    window_fields,
)
from frameferry.orchestration.person import person
from frameferry.orchestration.tasks import airflow_errors, call_step
from frameferry.pipeline.context import Context
from frameferry.pipeline.steps import publish

log = logging.getLogger("airflow.task")

DAG_ID = "audit"


def audit_dag() -> DAG | None:
    """Build the audit DAG; None if Airflow is about to run another one."""
    if get_parsing_context().dag_id not in {None, DAG_ID}:
        return None
    offered = pipelines()
    with DAG(
        dag_id=DAG_ID,
        schedule=None,
        start_date=START,
        max_active_runs=1,
        default_args=RETRY_ARGS,
        tags=[TAG, "audit"],
        params=_form(offered),
        doc_md=_DOCUMENTATION,
    ) as dag:
        compared: Any = compare()
        batch_ids = compared["batch_ids"]
        groups = carried(offered, batch_ids)
        groups >> mirror(NAME, batch_ids)
        groups >> verdict(NAME, batch_ids) >> conclude(compared["trouble"])
    return dag


@task(multiple_outputs=True)
def compare() -> dict[str, Any]:
    """Check the form again, audit, write the report into files, and freeze the repairs."""
    context = get_current_context()
    form = context["params"]
    with airflow_errors():
        refuse_unknown(DAG_ID, _FIELDS, context["dag_run"].conf or {})
        wish = _wish(form)
    return call_step(
        form["pipeline"], lambda ctx: _compared(ctx, wish, is_repaired=bool(form["repair"]))
    )


def _compared(ctx: Context, wish: Wish, *, is_repaired: bool) -> dict[str, Any]:
    audited = audit(ctx, wish)
    report = audited.report
    batch_ids: tuple[int, ...] = ()
    try:
        if is_repaired:
            repairs = repair(ctx, audited, reinfer_quarantined=False, dry_run=False, who=person())
            report, batch_ids = replace(report, repairs=repairs), repairs.batch_ids
    finally:
        # Whatever becomes of the repair, what was found is told.
        page, data = write_files(report)
        for line in lines(report):
            log.info("%s", line)
        log.info("The report is in %s and %s", page, data)
    trouble = "" if report.is_well else f"{report.sentence}. See {page}"
    return {"batch_ids": list(batch_ids), "trouble": trouble}


@task(trigger_rule=TriggerRule.ALL_DONE)
def mirror(pipeline: str, batch_ids: list[int] | None) -> None:
    """Mirror the committed offsets if anything was sent again."""
    if batch_ids:
        call_step(pipeline, publish)


@task(trigger_rule=TriggerRule.NONE_FAILED)
def conclude(trouble: str) -> None:
    """Fail the run if the audit found something wrong, repaired by now or not."""
    if trouble:
        raise AirflowFailException(trouble)


def _wish(form: Any) -> Wish:  # noqa: ANN401 - Airflow's params are untyped
    return wished(
        since=None if form["since"] in EMPTY else form["since"],
        until=None if form["until"] in EMPTY else form["until"],
        sample=form["sample"],
        with_kafka=not form["without_kafka"],
        recount=bool(form["recount"]),
        repair=bool(form["repair"]),
        reinfer_quarantined=False,
        dry_run=False,
    )


def _form(offered: list[PipelineSettings]) -> dict[str, Param]:
    return {
        "pipeline": pipeline_field(offered),
        **window_fields("Only files of records from this moment by their own timestamps"),
        "sample": Param(
            10,
            type="integer",
            minimum=0,
            title="Sample",
            description="So many files are read back for their sha256.",
        ),
        "recount": Param(
            default=False,
            type="boolean",
            title="Recount",
            description="Read and count all that Kafka still holds; takes long.",
        ),
        "without_kafka": Param(
            default=False,
            type="boolean",
            title="Without Kafka",
            description="Compare ledger and FTP server only.",
        ),
        "repair": Param(
            default=False,
            type="boolean",
            title="Repair",
            description="Send again what is missing or wrong.",
        ),
    }


_FIELDS = frozenset({"pipeline", "since", "until", "sample", "recount", "without_kafka", "repair"})
_DOCUMENTATION = """
Compare Kafka, the ledger and the FTP server after the fact: receipts whose file is not there, is
cut or changed, files that no row explains, offsets without an answer.

The report is a page and JSON, below the home's folder `audits`; the log of `compare` names them and
tells it line by line. The run is red if something is wrong. With *repair* the pictures that are
missing or wrong are sent again, by the predictions that stand; audit once more to see that all is
well. An audit alone changes nothing, and pipelines may run meanwhile.
"""
