"""Ask one pipeline for its status, with timeouts for a person who waits, not for a batch."""

from __future__ import annotations

from dataclasses import replace

from frameferry.config.connections import ConnectionResolver
from frameferry.config.settings import PipelineSettings
from frameferry.domain.status import Status
from frameferry.operations.status import status
from frameferry.page.survey import Ask
from frameferry.pipeline.context import open_context
from frameferry.pipeline.envoys import Envoys, by_envoy

KAFKA_TIMEOUT_SECONDS = 3.0


def ask_with(resolve: ConnectionResolver, envoys: Envoys | None = None) -> Ask:
    """
    Make the function by which a Surveyor asks a pipeline; *resolve* finds connections.

    *envoys* (None makes new ones) ask Kafka, since the page's process serves others.
    """
    senders = envoys or Envoys()

    def ask(settings: PipelineSettings) -> Status:
        with open_context(settings, resolve) as ctx:
            patient = replace(ctx, kafka_timeout_seconds=KAFKA_TIMEOUT_SECONDS)
            return status(by_envoy(patient, senders))

    return ask
