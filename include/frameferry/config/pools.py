"""The Airflow pools that cap what all pipelines do at once."""

from __future__ import annotations

from collections.abc import Iterable

from frameferry.config.settings import PipelineSettings

SPARK_POOL = "spark"
"""Judge jobs at once, over all pipelines."""
SPARK_SLOTS = 8
"""A pipeline takes one at a time; the jobs share Spark's cores in turns."""
FTP_SLOTS = 8
"""Connections to one FTP server at once, over all pipelines."""
REPLAY_SPARK_POOL = "spark_replay"
REPLAY_SPARK_SLOTS = 1
"""Judge jobs of replays at once: beside those of the pipelines, which never wait for them."""


def ftp_pool(connection_id: str) -> str:
    """Name the pool whose slots are connections to one FTP server."""
    return f"ftp__{connection_id}"


def replay_ftp_pool(connection_id: str) -> str:
    """Name the pool of a server's connections for replays: one delivers at a time."""
    return f"{ftp_pool(connection_id)}__replay"


def pool_slots(pipelines: Iterable[PipelineSettings]) -> dict[str, int]:
    """
    List the pools that these pipelines' tasks need, with their slots.

    An FTP pool is never smaller than one pipeline's connections: otherwise its tasks would wait for
    ever. A replay's is as large as the largest of them.
    """
    slots = {SPARK_POOL: SPARK_SLOTS, REPLAY_SPARK_POOL: REPLAY_SPARK_SLOTS}
    for settings in pipelines:
        connection, connections = settings.deliver.connection, settings.deliver.connections
        for name, least in ((ftp_pool(connection), FTP_SLOTS), (replay_ftp_pool(connection), 1)):
            slots[name] = max(slots.get(name, least), connections)
    return slots
