"""Ask Kafka from a process that serves others as well: librdkafka is never in it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from frameferry.kafka.envoy_cluster import EnvoyCluster
from frameferry.kafka.envoys import Envoys
from frameferry.pipeline.context import Context

__all__ = ["Envoys", "by_envoy"]


def by_envoy(ctx: Context, envoys: Envoys) -> Context:
    """Let a context's questions to Kafka be asked by *envoys*, which end on their own."""
    return replace(ctx, open_cluster=partial(EnvoyCluster, envoys))
