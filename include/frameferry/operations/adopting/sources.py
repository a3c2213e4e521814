"""The systems that a pipeline can be adopted from, each with the way to find where it stopped."""

from __future__ import annotations

from pathlib import Path

from frameferry.errors import ConfigError
from frameferry.operations.adopting.adopt import FindOrigin
from frameferry.operations.adopting.exports import read_connect_offsets, read_offsets
from frameferry.operations.adopting.group import read_group
from frameferry.operations.adopting.spark_checkpoint import read_spark_checkpoint


def source_of(
    *,
    spark_checkpoint: str | None,
    group: str | None,
    connect_offsets: Path | None,
    offsets: Path | None,
) -> FindOrigin:
    """
    Choose the one system that is named.

    Raises:
        ConfigError: None is named, or more than one.
    """
    named: list[FindOrigin] = []
    if spark_checkpoint is not None:
        named.append(
            lambda ctx, *_: read_spark_checkpoint(spark_checkpoint, ctx.settings.kafka.topic)
        )
    if group is not None:
        named.append(lambda ctx, cluster, view: read_group(ctx, cluster, view, group))
    if connect_offsets is not None:
        named.append(
            lambda ctx, *_: read_connect_offsets(connect_offsets, ctx.settings.kafka.topic)
        )
    if offsets is not None:
        named.append(lambda ctx, *_: read_offsets(offsets, ctx.settings.kafka.topic))
    if len(named) != 1:
        msg = f"{len(named)} systems are named to adopt from"
        remedy = "Name one, by --spark-checkpoint, --group, --connect-offsets or --offsets"
        raise ConfigError(msg, remedy=remedy)
    return named[0]
