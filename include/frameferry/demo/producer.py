"""Send the demo's pictures as NiFi would, and only those that the topics do not hold yet."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from frameferry.demo.pictures import PARTITIONS, DemoPicture
from frameferry.domain.records import sha256_hex
from frameferry.errors import KafkaUnavailable

TRANSACTIONAL = "press-a"
"""The equipment whose pictures come in transactions, some of them aborted."""
_TRANSACTION_PICTURES = 7
_ABORT_EVERY = 5
_TIMEOUT_SECONDS = 30.0
_MAX_MESSAGE_BYTES = 50 * 1024**2
Key = tuple[str, int, str]
Options = Mapping[str, str | int | float | bool]


def topic_of(pipeline: str) -> str:
    """Name an equipment's topic."""
    return f"{pipeline}.images"


def create_topics(kafka: Options, pipelines: Iterable[str]) -> None:
    """
    Create the equipments' topics if they do not exist.

    Args:
        kafka: librdkafka's options of the cluster, `bootstrap.servers` among them.
        pipelines: Whose topics.

    Raises:
        KafkaUnavailable: The broker refuses or does not answer.
    """
    admin = AdminClient({**kafka, "log_level": 0})
    topics = [NewTopic(topic_of(name), num_partitions=PARTITIONS) for name in pipelines]
    for future in admin.create_topics(topics, request_timeout=_TIMEOUT_SECONDS).values():
        try:
            future.result(timeout=_TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                msg = f"the demo's topics cannot be created: {error}"
                raise KafkaUnavailable(msg, remedy="See the broker's log") from error


def produce_missing(kafka: Options, pictures: Sequence[DemoPicture]) -> int:
    """
    Send the pictures that the topics do not hold yet, so that a killed demo can be run again.

    Args:
        kafka: As `create_topics`.
        pictures: What the topics shall hold in the end.

    Returns:
        How many were sent.
    """
    pipelines = sorted({picture.pipeline for picture in pictures})
    held = Counter(_held(kafka, [topic_of(name) for name in pipelines]))
    missing = list(_missing(pictures, held))
    for name in pipelines:
        mine = [picture for picture in missing if picture.pipeline == name]
        if name == TRANSACTIONAL:
            _send_in_transactions(kafka, name, mine)
        else:
            _send_plainly(kafka, mine)
    return len(missing)


def _missing(pictures: Sequence[DemoPicture], held: Counter[Key]) -> Iterator[DemoPicture]:
    for picture in pictures:
        key = (topic_of(picture.pipeline), picture.partition, sha256_hex(picture.value))
        if held[key]:
            held[key] -= 1
        else:
            yield picture


def _held(kafka: Options, topics: Sequence[str]) -> Iterator[Key]:
    """Read the keys of all records, without aborted ones, up to the end of each partition."""
    consumer = Consumer(
        {
            **kafka,
            "group.id": f"frameferry-demo-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    try:
        parts = [
            TopicPartition(topic, number, 0) for topic in topics for number in range(PARTITIONS)
        ]
        consumer.assign(parts)
        ended = 0
        while ended < len(parts):
            message = consumer.poll(_TIMEOUT_SECONDS)
            if message is None:
                msg = "the demo's topics cannot be read back"
                raise KafkaUnavailable(msg, remedy="See the broker's log")
            if message.error() is None:
                yield message.topic(), message.partition(), sha256_hex(message.value() or b"")
            elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name for it
                ended += 1
    finally:
        consumer.close()


def _send_plainly(kafka: Options, pictures: Sequence[DemoPicture]) -> None:
    producer = Producer(_producer_options(kafka))
    for picture in pictures:
        _send(producer, picture)
    _flush(producer)


def _send_in_transactions(kafka: Options, pipeline: str, pictures: Sequence[DemoPicture]) -> None:
    """Send about a megabyte per transaction; abort every fifth once, then send it again."""
    if not pictures:
        return
    producer = Producer({**_producer_options(kafka), "transactional.id": f"demo-{pipeline}"})
    producer.init_transactions(_TIMEOUT_SECONDS)
    for number, start in enumerate(range(0, len(pictures), _TRANSACTION_PICTURES)):
        group = pictures[start : start + _TRANSACTION_PICTURES]
        if number % _ABORT_EVERY == 0:
            _transact(producer, group)
            producer.abort_transaction(_TIMEOUT_SECONDS)
        _transact(producer, group)
        producer.commit_transaction(_TIMEOUT_SECONDS)


def _transact(producer: Producer, pictures: Sequence[DemoPicture]) -> None:
    producer.begin_transaction()
    for picture in pictures:
        _send(producer, picture)
    _flush(producer)


def _send(producer: Producer, picture: DemoPicture) -> None:
    producer.produce(
        topic_of(picture.pipeline),
        value=picture.value,
        partition=picture.partition,
        headers=_nifi_headers(picture),
    )
    producer.poll(0)


def _flush(producer: Producer) -> None:
    if producer.flush(_TIMEOUT_SECONDS):
        msg = "the demo's pictures cannot be sent"
        raise KafkaUnavailable(msg, remedy="See the broker's log")


def _nifi_headers(picture: DemoPicture) -> list[tuple[str, bytes]]:
    """Give the attributes that NiFi writes with the pattern `.*`; none without a file name."""
    if picture.filename is None:
        return []
    digest = sha256_hex(picture.value)
    attributes = {
        "filename": picture.filename,
        "path": "/",
        "absolute.path": "/data/camera/",
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, digest)),
        "camera.id": "CAM-3",
        "line.id": "LINE-07",
        "라인": "도장 3라인",
    }
    return [(name, value.encode()) for name, value in attributes.items()]


def _producer_options(kafka: Options) -> dict[str, str | int | float | bool]:
    return {
        **kafka,
        "message.max.bytes": _MAX_MESSAGE_BYTES,
        "enable.idempotence": "true",
        "linger.ms": 5,
        # A broker that has just started says once that its coordinator loads: nobody's concern.
        "log_level": 0,
    }
