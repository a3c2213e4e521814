"""What a step needs to know of its world: settings, the ledger, the way to its servers."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Self

from frameferry.config.connections import (
    ConnectionResolver,
    FtpConnection,
    KafkaConnection,
    SparkConnection,
    ftp_connection,
    kafka_connection,
    spark_connection,
)
from frameferry.config.home import ledger_url
from frameferry.config.settings import PipelineSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Judged
from frameferry.errors import TopicMissing, TopicUnseen
from frameferry.ftp.client import FerryFTP, connect
from frameferry.kafka.client import UNSEEN
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.reader import RangeReader
from frameferry.kafka.throttling import Throttling
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.spark import route

OpenFtp = Callable[[FtpConnection], FerryFTP]


@dataclass(frozen=True)
class Context:
    """
    One pipeline's settings, the ledger, and the way to its servers.

    `open_ftp`, `open_cluster`, `open_reader`, `judge` and `control` are all the ways out of this
    process besides the ledger: tests that break them on purpose come in here.

    A connection is resolved when first needed, and then stays as it is. A process that outlives a
    step goes on with the context `anew`.
    """

    settings: PipelineSettings
    ledger: Ledger
    resolve: ConnectionResolver
    open_ftp: OpenFtp = connect
    open_cluster: Callable[..., Cluster] = Cluster
    open_reader: Callable[..., RangeReader] = RangeReader
    judge: Callable[..., Judged] = route.judge
    control: Callable[..., None] = route.control
    kafka_timeout_seconds: float = 10
    company_patience_seconds: float = 120

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.settings.pipeline

    @property
    def group(self) -> str:
        """The consumer group that mirrors the committed offsets."""
        return f"frameferry.{self.pipeline}"

    @property
    def owner(self) -> str:
        """Name this process as the holder of leases."""
        return _owner(os.getpid())

    @cached_property
    def kafka(self) -> KafkaConnection:
        """The Kafka connection, resolved once."""
        return kafka_connection(self.resolve(self.settings.kafka.connection))

    @cached_property
    def ftp(self) -> FtpConnection:
        """The FTP connection, resolved once."""
        return ftp_connection(self.resolve(self.settings.deliver.connection))

    @cached_property
    def spark(self) -> SparkConnection:
        """The Spark connection, resolved once."""
        return spark_connection(self.resolve(self.settings.spark.connection))

    def anew(self) -> Self:
        """Make a copy that resolves its connections anew, since one of them may have changed."""
        return replace(self)

    def delivering_into(self, base: str | None) -> Self:
        """Make a copy that delivers below another base; None: below the pipeline's own."""
        if base is None:
            return self
        deliver = self.settings.deliver.model_copy(update={"base": base})
        return replace(self, settings=self.settings.model_copy(update={"deliver": deliver}))

    @contextmanager
    def cluster(self) -> Iterator[Cluster]:
        """
        Open the Kafka cluster for a few questions.

        Raises:
            TopicUnseen: It does not know the topic, and the ledger does.
        """
        opened = self.open_cluster(self.kafka, timeout_seconds=self.kafka_timeout_seconds)
        try:
            with closing(opened) as cluster:
                yield cluster
        except TopicMissing as error:
            if not self._knows_the_topic():
                raise
            raise TopicUnseen(error.what, remedy=UNSEEN, **error.where.known()) from error

    def _knows_the_topic(self) -> bool:
        """Say whether the ledger has offsets of all partitions that the pipeline's file wants."""
        known, wanted = self.ledger.pipeline_state(self.pipeline), self.settings.kafka.partitions
        if known is None or not known.progress:
            return False
        return wanted == "all" or set(wanted) <= set(known.progress)

    def reader(self, wanted: OffsetRange, throttling: Throttling | None = None) -> RangeReader:
        """Read one range of the pipeline's topic, to its end by position; a quota may take long."""
        kafka = self.settings.kafka
        return self.open_reader(
            self.kafka,
            kafka.topic,
            wanted,
            filename_header=kafka.filename_header,
            name_headers=self.settings.deliver.name_headers,
            throttling=throttling,
        )


@contextmanager
def open_context(settings: PipelineSettings, resolve: ConnectionResolver) -> Iterator[Context]:
    """Open the ledger for one pipeline's steps, and close it after them."""
    with closing(open_ledger(ledger_url())) as ledger:
        yield Context(settings, ledger, resolve)


@cache
def _owner(pid: int) -> str:
    """Name a process. A forked one is another process and gets a name of its own."""
    return f"{socket.gethostname()}:{pid}:{uuid.uuid4().hex[:8]}"
