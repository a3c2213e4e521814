"""What the servers show: Kafka and its topics, FTP servers, Spark."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from frameferry.config.connections import FtpConnection, KafkaConnection, SparkConnection
from frameferry.config.settings import ModelSettings, PipelineSettings
from frameferry.domain.signs import Answer, Verdict, fine, warning, wrong
from frameferry.domain.wording import counted, in_time
from frameferry.ftp.client import FerryFTP, connect
from frameferry.ftp.fitness.checks import RIGHTS, examine
from frameferry.ftp.fitness.sandbox import Sandbox
from frameferry.ftp.measuring import modified_at
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.ledger.store import Ledger
from frameferry.operations.doctor.clocks import compared
from frameferry.pipeline.deliver.login import one_login
from frameferry.spark.examining import versions, worker_views
from frameferry.spark.reach import probe
from frameferry.spark.server import server_advice

_KAFKA_SECONDS: Final = 10
_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3600
_AHEAD: Final = timedelta(minutes=1)
_VERDICTS: Final = {"ok": Verdict.OK, "note": Verdict.WARN, "fail": Verdict.WRONG}


def mirror(connection: KafkaConnection) -> Iterator[Answer]:
    """Ask a Kafka how long it keeps the offsets of a group that nobody joins."""
    with closing(Cluster(connection, timeout_seconds=_KAFKA_SECONDS)) as cluster:
        kept = cluster.offsets_kept_seconds()
    if kept is None:
        remedy = "Give the user DescribeConfigs of the cluster: the mirror is renewed hourly else"
        yield warning("it does not say how long it keeps a group's offsets", remedy)
    elif kept < _DAY_SECONDS:
        remedy = "Raise offsets.retention.minutes: a pipeline that rests longer needs a person"
        yield warning(f"it keeps a group's offsets for {in_time(kept)} only", remedy)
    else:
        yield fine(f"it keeps a group's offsets for {in_time(kept)}")


def topic(connection: KafkaConnection, settings: PipelineSettings) -> Iterator[Answer]:
    """Look at a pipeline's topic: whether it may be read, its replicas, retention and clock."""
    name, partitions = settings.kafka.topic, settings.kafka.partitions
    with closing(Cluster(connection, timeout_seconds=_KAFKA_SECONDS)) as cluster:
        view = cluster.view(name, None if partitions == "all" else partitions)
        yield fine(f"{name}: {counted(len(view.watermarks), 'partition')}")
        yield from _retention(view, settings)
        if thin := cluster.thin_partitions(name):
            remedy = (
                "See which broker is down or behind: of the next one lost, the topic stands still"
            )
            yield warning(
                f"not all replicas are in sync, of {counted(len(thin), 'partition')}", remedy
            )
        yield from _dated_ahead(cluster, view, name)


def _retention(view: TopicView, settings: PipelineSettings) -> Iterator[Answer]:
    kept, wished = view.retention.seconds, settings.watch.retention_hours * _HOUR_SECONDS
    if kept is not None and kept <= wished:
        seen = f"records are kept for {in_time(kept)}, the alarm is due at {in_time(wished)} before"
        yield wrong(seen, "Raise the topic's retention.ms, or lower watch.retention_hours")


def _dated_ahead(cluster: Cluster, view: TopicView, name: str) -> Iterator[Answer]:
    """See whether records bear times that are still to come by our clock."""
    first = cluster.offsets_at(name, tuple(view.watermarks), datetime.now(UTC) + _AHEAD)
    ahead = [one for one, offset in first.items() if offset < view.watermarks[one].end]
    if ahead:
        remedy = "See whether this machine's clock is behind, or that of whoever produces is ahead"
        where = counted(len(ahead), "partition")
        seen = f"records are dated over a minute ahead of our clock, in {where}"
        yield warning(seen, remedy)


def ftp(ledger: Ledger, connection: FtpConnection, base: str) -> Iterator[Answer]:
    """
    Log in once, as a delivery does, and try the account's rights in a folder that goes again.

    Raises:
        FtpUnavailable, DeliveryRefused, PipelineBlocked: The log-in fails, or was refused before.
    """

    def open_connection() -> FerryFTP:
        with one_login(ledger, connection.digest, owner=f"frameferry doctor ({os.getpid()})"):
            return connect(connection)

    sandbox = Sandbox(open_connection, base, uuid.uuid4().hex[:8])
    with sandbox:
        for one in examine(sandbox, RIGHTS):
            yield Answer(_VERDICTS[one.verdict], f"{one.check}: {one.seen}", one.setting)
        yield from _clock(sandbox)
    if sandbox.left:
        left = f"could not be deleted again: {', '.join(sandbox.left)}"
        yield warning(left, "Delete it by hand, and give the account the right to delete")


def _clock(sandbox: Sandbox) -> Iterator[Answer]:
    before = datetime.now(UTC)
    if not sandbox.store("clock.bin", b"clock").is_success:
        return
    theirs, after = modified_at(sandbox.ftp, sandbox.path("clock.bin")), datetime.now(UTC)
    if theirs is not None:
        second = timedelta(seconds=1)
        yield compared(theirs, before, after, whose="the server's clock", unit=second)


def listens(connection: SparkConnection) -> Iterator[Answer]:
    """See that a master for spark-submit is there; no application is started."""
    probe(connection.url)
    yield fine(f"{connection.url}; its executors were not asked: that would start an application")


def spark(connection: SparkConnection, most_records: int) -> Iterator[Answer]:
    """Compare a Connect server's version with the client's, and its settings with what we need."""
    server, client = versions(connection)
    if server == client:
        yield fine(f"Spark {server}, as the client here")
    else:
        yield wrong(f"Spark {server}, the client here is {client}", "Install equal versions")
    for line in server_advice(connection, max_records=most_records):
        yield warning("its settings", line)


def model(connection: SparkConnection, settings: ModelSettings) -> Iterator[Answer]:
    """Compare the model that Spark's workers see with the one here, and their Python with ours."""
    here, views = worker_views(connection, settings)
    digests = {one.digest for one in views} | ({here} if here else set())
    hosts = counted(len({one.host for one in views}), "machine")
    if len(digests) == 1 and not any(one.lacks for one in views):
        yield fine(f"digest {digests.pop()[:12]} on {hosts}")
        return
    told = "; ".join(f"{one.host}: {one.lacks or one.digest[:12]}" for one in sorted(views)[:4])
    remedy = "Let all workers see the same model files at the same path"
    yield wrong(f"here {(here or 'not there')[:12]}, {told}", remedy)
