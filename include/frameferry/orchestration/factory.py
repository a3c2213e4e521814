"""Make one DAG per pipeline file; a broken file makes a stub that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, TriggerRule, get_parsing_context, task, task_group

from frameferry.config.folder import broken_names, load_all
from frameferry.config.home import pipelines_folder
from frameferry.config.pools import SPARK_POOL, ftp_pool
from frameferry.config.settings import PipelineSettings
from frameferry.errors import ConfigError
from frameferry.orchestration.assets import announce, delivered
from frameferry.orchestration.notifying import failure_callback
from frameferry.orchestration.tasks import call_batch_step, call_step
from frameferry.orchestration.wait import WaitForBacklog
from frameferry.pipeline import family, steps

START = datetime(2026, 1, 1, tzinfo=UTC)
TAG = "frameferry"
RETRY_ARGS: dict[str, Any] = {
    "owner": "frameferry",
    "retries": 3,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}
_IN_TURN = 1
"""
A run judges one batch at a time and delivers one at a time. That keeps both stages busy, and leaves
the other slots of a pool to other pipelines.
"""
_WAIT_RETRIES = 20
_WAIT_RETRY_DELAY = timedelta(seconds=30)


def ferry_dags() -> Iterator[DAG]:
    """
    Build the DAG of every pipeline file, or only the one that Airflow is about to run.

    Touches no network, no database, no Connection and no Variable.
    """
    wanted = get_parsing_context().dag_id
    try:
        whole, broken = load_all(pipelines_folder())
    except ConfigError as missing:
        yield _stub("ferry", missing)
        return
    for settings in whole.values():
        if wanted in {None, dag_id(settings.pipeline)}:
            yield ferry_dag(settings)
    for name, error in broken_names(whole, broken).items():
        if wanted in {None, dag_id(name)}:
            yield _stub(name, error)


def dag_id(pipeline: str) -> str:
    """Name a pipeline's DAG."""
    return f"ferry__{pipeline}"


def ferry_dag(settings: PipelineSettings) -> DAG:
    """Wire `wait → plan → (infer → deliver → commit)* → publish, verdict` for one pipeline."""
    name = settings.pipeline
    with DAG(
        dag_id=dag_id(name),
        schedule="@continuous",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=RETRY_ARGS,
        tags=[TAG, name],
        doc_md=_documentation(settings),
        on_failure_callback=failure_callback(name),
    ) as dag:
        wait = WaitForBacklog(
            task_id="wait",
            pipeline=name,
            linger_seconds=settings.batch.linger_seconds,
            retries=_WAIT_RETRIES,
            retry_delay=_WAIT_RETRY_DELAY,
            retry_exponential_backoff=False,
        )
        planned = plan(name)
        batches = batch_steps(name, settings, outlets=[delivered(name)]).expand(batch_id=planned)
        wait >> planned
        batches >> [publish(name), verdict(name, planned)]
    return dag


def batch_steps(
    pipeline: str,
    settings: PipelineSettings,
    *,
    group_id: str = "batch",
    judge_pool: str = SPARK_POOL,
    pool_of: Callable[[str], str] = ftp_pool,
    outlets: Sequence[Asset] = (),
) -> Any:  # noqa: ANN401 - a decorated task group
    """
    Wire infer, deliver and commit of one batch; expand it over batch ids.

    Args:
        pipeline: Its name, or a template for it.
        settings: Whose FTP connection it is, and how many slots of its pool a delivery takes.
        group_id: The task group's id.
        judge_pool: The pool that judge jobs wait for.
        pool_of: Names the pool that deliveries wait for, by the FTP connection's id.
        outlets: Assets that are new with each batch that is committed.
    """

    @task_group(group_id=group_id)
    def batch(batch_id: int) -> None:
        _ = (
            infer.override(pool=judge_pool)(pipeline, batch_id)
            >> deliver.override(
                pool=pool_of(settings.deliver.connection),
                pool_slots=settings.deliver.connections,
            )(pipeline, batch_id)
            >> commit.override(outlets=list(outlets))(pipeline, batch_id)
        )

    return batch


@task
def plan(pipeline: str) -> list[int]:
    """Freeze new ranges; return the oldest open batches, as many as a run takes on."""
    return list(call_step(pipeline, steps.plan).batch_ids)


@task(map_index_template="{{ label }}", max_active_tis_per_dagrun=_IN_TURN)
def infer(pipeline: str, batch_id: int) -> None:
    """Judge the batch once, or the pieces that it was split into."""
    call_batch_step(pipeline, batch_id, family.infer)


@task(map_index_template="{{ label }}", max_active_tis_per_dagrun=_IN_TURN)
def deliver(pipeline: str, batch_id: int) -> None:
    """Publish its images and count them."""
    call_batch_step(pipeline, batch_id, family.deliver)


@task(map_index_template="{{ label }}")
def commit(pipeline: str, batch_id: int) -> None:
    """Move the committed offsets, and tell whoever waits for new pictures."""
    announce(pipeline, call_batch_step(pipeline, batch_id, family.commit))


@task(trigger_rule=TriggerRule.ALL_DONE)
def publish(pipeline: str) -> None:
    """Mirror the committed offsets to the consumer group, whatever became of the batches."""
    call_step(pipeline, steps.publish)


@task(trigger_rule=TriggerRule.NONE_FAILED)
def verdict(pipeline: str, batch_ids: list[int] | None) -> None:
    """Fail the run while one of its batches is unfinished."""
    call_step(pipeline, lambda ctx: steps.verdict(ctx, batch_ids or []))


def _stub(name: str, error: ConfigError) -> DAG:
    """Stand in for a DAG whose file is broken, so that the others and its history stay."""
    return DAG(
        dag_id=dag_id(name),
        schedule=None,
        start_date=START,
        max_active_runs=1,
        default_args=RETRY_ARGS,
        tags=[TAG, "broken"],
        doc_md=f"### This pipeline's file is broken\n\n{error}\n\nNothing runs until it is mended.",
    )


def _documentation(settings: PipelineSettings) -> str:
    model = "no model" if settings.model == "none" else f"the model `{settings.model.name}`"
    return (
        f"Carries `{settings.kafka.topic}` ({settings.kafka.connection}), judged by {model}, to "
        f"`{settings.deliver.base}` ({settings.deliver.connection}).\n\n"
        f"See `frameferry status {settings.pipeline}`; replay with the DAG `replay`."
    )
