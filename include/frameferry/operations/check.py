"""Find what would stop a pipeline before it runs: connections, topic, model."""

from __future__ import annotations

from collections.abc import Callable

from frameferry.errors import FrameferryError
from frameferry.pipeline.context import Context
from frameferry.spark.deployment import check_deployment
from frameferry.spark.route import check_model
from frameferry.spark.server import server_advice


def check_pipeline(ctx: Context) -> list[FrameferryError]:
    """
    List what is wrong with a pipeline: each thing once, without changing anything.

    Kafka is asked for the topic; the FTP server is not logged in to, so that a check never
    counts as a log-in attempt.
    """
    questions: list[Callable[[], object]] = [
        lambda: ctx.ftp,
        lambda: check_deployment(ctx.spark),
        lambda: _topic(ctx),
    ]
    if ctx.settings.model != "none":
        model = ctx.settings.model
        questions.append(lambda: check_model(model))
    return [problem for question in questions if (problem := _problem(question)) is not None]


def spark_advice(ctx: Context) -> list[str]:
    """
    Say which settings of the pipeline's Spark Connect server to change, and why.

    Raises:
        FrameferryError: It cannot be asked: nothing answers, or the connection makes no sense.
    """
    if ctx.settings.model == "none":
        return []
    return server_advice(ctx.spark, max_records=ctx.settings.batch.max_records)


def _topic(ctx: Context) -> None:
    partitions = ctx.settings.kafka.partitions
    with ctx.cluster() as cluster:
        cluster.view(ctx.settings.kafka.topic, None if partitions == "all" else partitions)


def _problem(question: Callable[[], object]) -> FrameferryError | None:
    try:
        question()
    except FrameferryError as error:
        return error
    return None
