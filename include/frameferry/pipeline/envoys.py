"""Ask Kafka for a process that serves others as well, and keep librdkafka out of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from frameferry.kafka.envoy_cluster import EnvoyCluster
from frameferry.kafka.envoys import Envoys
from frameferry.pipeline.context import Context

__all__ = ["Envoys", "by_envoy"]


def by_envoy(ctx: Context, envoys: Envoys) -> Context:
    """Let *envoys* ask a context's questions to Kafka: if one dies, it dies alone."""
    return replace(ctx, open_cluster=partial(EnvoyCluster, envoys))
