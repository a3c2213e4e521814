"""The broker's topics: each backlog appears whole at one moment, as a transaction's."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.pipeline.loads import PARTITIONS

TIMEOUT_SECONDS = 120
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Backlog:
    """What lies in a topic from *starts* up to *ends*: *pictures* of these *sizes* in bytes."""

    topic: str
    starts: dict[int, int]
    ends: dict[int, int]
    sizes: list[int]

    @property
    def pictures(self) -> int:
        return len(self.sizes)


class Broker:
    """Make topics, fill them, delete them."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._numbers = itertools.count()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": f"benchmark-{time.time_ns()}",
                "transaction.timeout.ms": 600_000,
                "message.max.bytes": 60 * 1000**2,
                "queue.buffering.max.kbytes": 512 * 1024,
                "log_level": 0,
            }
        )
        self._producer.init_transactions(TIMEOUT_SECONDS)

    def create(self, topic: str) -> None:
        self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(TIMEOUT_SECONDS)

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(TIMEOUT_SECONDS)

    def fill(self, topic: str, values: Sequence[bytes], count: int) -> Backlog:
        """Add *count* pictures, the same ones over and over, spread over the partitions."""
        starts = self.ends(topic)
        sent = list(itertools.islice(itertools.cycle(values), count))
        self._producer.begin_transaction()
        for number, value in enumerate(sent):
            self._send(topic, number % PARTITIONS, value)
        self._producer.commit_transaction(TIMEOUT_SECONDS)
        return Backlog(topic, starts, self._settled(topic, starts, count), list(map(len, sent)))

    def ends(self, topic: str) -> dict[int, int]:
        """Ask where each partition ends for a reader of what is committed."""
        with _asker(self.bootstrap) as asker:
            return {
                partition: asker.get_watermark_offsets(
                    TopicPartition(topic, partition), TIMEOUT_SECONDS
                )[1]
                for partition in range(PARTITIONS)
            }

    def _send(self, topic: str, partition: int, value: bytes) -> None:
        name = f"cam-{partition + 1}_{next(self._numbers):07d}.jpg"
        headers = [("filename", name.encode())]
        while True:
            try:
                self._producer.produce(topic, value, partition=partition, headers=headers)
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            else:
                self._producer.poll(0)
                return

    def _settled(self, topic: str, starts: dict[int, int], count: int) -> dict[int, int]:
        """Wait for the transaction's markers, of which the commit does not."""
        shares = [len(range(partition, count, PARTITIONS)) for partition in range(PARTITIONS)]
        wanted = {p: starts[p] + share + bool(share) for p, share in enumerate(shares)}
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (ends := self.ends(topic)) != wanted:
            assert time.monotonic() < deadline, f"{topic} ends at {ends}, not at {wanted}"
            time.sleep(_POLL_SECONDS)
        return ends


def _asker(bootstrap: str) -> closing[Any]:
    """Open a consumer that asks for watermarks and is closed."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "benchmark", "log_level": 0}
    return closing(Consumer({**settings, "isolation.level": "read_committed"}))
