"""The Airflow pools that cap what all pipelines do at once."""

from __future__ import annotations

from collections.abc import Iterable

from frameferry.config.settings import PipelineSettings

SPARK_POOL = "spark"
"""Judge jobs at once, over all pipelines."""
SPARK_SLOTS = 8
"""A pipeline takes one at a time; the jobs share Spark's cores in turns."""
FTP_SLOTS = 8
"""Connections to one FTP server at once, over all pipelines and replays."""


def ftp_pool(connection_id: str) -> str:
    """Name the pool whose slots are connections to one FTP server."""
    return f"ftp__{connection_id}"


def pool_slots(pipelines: Iterable[PipelineSettings]) -> dict[str, int]:
    """
    List the pools that these pipelines' tasks need, with their slots.

    An FTP pool is never smaller than one pipeline's connections: otherwise its tasks would wait for
    ever.
    """
    slots = {SPARK_POOL: SPARK_SLOTS}
    for settings in pipelines:
        name = ftp_pool(settings.deliver.connection)
        slots[name] = max(slots.get(name, FTP_SLOTS), settings.deliver.connections)
    return slots
