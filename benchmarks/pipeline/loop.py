"""
The honest opponent: one process, as a plant would write it by hand, as well as we can.

A thread reads Kafka, tf.data decodes on two more, the model judges 32 at a time on all cores, and
four threads upload: to a part, SIZE, rename. JPEGs are decoded at the smallest of libjpeg's scales
that is not below the model's input, which is most of its speed. It keeps no ledger: a crash loses
or repeats pictures.

    python -m benchmarks.pipeline.loop BOOTSTRAP MODEL RATIO
"""

from __future__ import annotations

import ftplib
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.pipeline.models import PIXELS
from benchmarks.pipeline.programs import Errand, claim_answers, serve

BATCH = 32
DECODERS = 2
UPLOADERS = 4
REDUCED, FULL = "reduced", "full"
"""How it decodes: at the smallest scale that will do, or whole, as a first draft would."""
WAITING = 64
"""Judged pictures that may wait for an uploader."""
TIMEOUT_SECONDS = 60
Named = tuple[str, bytes]
Judged = queue.Queue[Named | None]


def reduction(width: int, height: int) -> int:
    """Choose how many times smaller libjpeg may decode: the result still covers the input."""
    return max(r for r in (1, 2, 4, 8) if r == 1 or min(width, height) // r >= PIXELS)


class Loop:
    """A loaded model and a consumer; `carry` may be called again and again."""

    def __init__(self, bootstrap: str, model: str, ratio: int) -> None:
        import tensorflow as tf

        self._consumer = Consumer(_consumer_settings(bootstrap))
        self._errand: Errand = {}
        self._held: dict[int, Named] = {}
        self._batches = self._dataset(tf, ratio)
        loaded = tf.keras.models.load_model(model, compile=False)
        shape = tf.TensorSpec((None, PIXELS, PIXELS, 3))
        self._judge = tf.function(
            lambda pixels: tf.argmax(loaded(pixels, training=False), 1), input_signature=[shape]
        )
        self._judge(tf.zeros((BATCH, PIXELS, PIXELS, 3)))

    def carry(self, errand: Errand) -> Mapping[str, Any]:
        """Carry the pictures of an errand; return once all are on the server."""
        self._errand = errand
        judged: Judged = queue.Queue(WAITING)
        uploaders = [Uploader(errand, judged) for _ in range(UPLOADERS)]
        for uploader in uploaders:
            uploader.start()
        labels = self._judge_all(judged)
        for _ in uploaders:
            judged.put(None)
        for uploader in uploaders:
            uploader.join()
        return {"labels": labels, "delivered": sum(each.delivered for each in uploaders)}

    def _judge_all(self, judged: Judged) -> dict[int, int]:
        """Judge batch after batch, and hand the bytes on; count the labels."""
        counts: dict[int, int] = {}
        for pixels, numbers in self._batches:
            labels = self._judge(pixels).numpy()
            for number, label in zip(numbers.numpy(), labels, strict=True):
                counts[int(label)] = counts.get(int(label), 0) + 1
                judged.put(self._held.pop(int(number)))
        return counts

    def _dataset(self, tf: Any, ratio: int) -> Any:  # noqa: ANN401 - TensorFlow has no types
        """Describe the reading and decoding once; each iteration carries the errand of then."""

        def decoded(value: Any, number: Any) -> tuple[Any, Any]:  # noqa: ANN401
            pixels = tf.io.decode_jpeg(value, channels=3, ratio=ratio)
            return tf.image.resize(pixels, (PIXELS, PIXELS)) / 255.0, number

        signature = (tf.TensorSpec((None,), tf.string), tf.TensorSpec((None,), tf.int64))
        read = tf.data.Dataset.from_generator(self._groups, output_signature=signature)
        small = read.unbatch().map(decoded, num_parallel_calls=DECODERS, deterministic=False)
        return small.batch(BATCH).prefetch(2)

    def _groups(self) -> Iterator[tuple[list[bytes], list[int]]]:
        """
        Read the errand's pictures, some at a time.

        TensorFlow gets what it decodes; the bytes to upload stay here, under a number.
        """
        starts = self._errand["starts"]
        topic, wanted = self._errand["topic"], self._errand["pictures"]
        self._consumer.assign([TopicPartition(topic, int(p), at) for p, at in starts.items()])
        number = 0
        while number < wanted:
            group = self._consumer.consume(min(BATCH, wanted - number), 1.0)
            numbers = list(range(number, number + len(group)))
            for each, message in zip(numbers, group, strict=True):
                self._held[each] = (_name(message), message.value())
            number += len(group)
            if group:
                yield [self._held[each][1] for each in numbers], numbers


class Uploader(threading.Thread):
    """One connection that uploads what was judged until it gets None."""

    def __init__(self, errand: Errand, judged: Judged) -> None:
        super().__init__(daemon=True)
        self._errand = errand
        self._judged = judged
        self.delivered = 0

    def run(self) -> None:
        with ftplib.FTP(timeout=TIMEOUT_SECONDS) as ftp:
            log_in(ftp, self._errand)
            while (picture := self._judged.get()) is not None:
                self._upload(ftp, *picture)
                self.delivered += 1

    def _upload(self, ftp: ftplib.FTP, name: str, value: bytes) -> None:
        part = f".{name}.part"
        # What `storbinary` does, without its TYPE at every file and its small blocks.
        with ftp.transfercmd(f"STOR {part}") as data:
            data.sendall(value)
        ftp.voidresp()
        if ftp.size(part) != len(value):
            msg = f"{name} is not whole"
            raise ftplib.Error(msg)
        ftp.rename(part, name)


def log_in(ftp: ftplib.FTP, errand: Errand) -> None:
    """Log in and go to the errand's folder, which one of us makes."""
    ftp.connect(errand["host"], errand["port"])
    ftp.login(errand["user"], errand["password"])
    ftp.voidcmd("TYPE I")
    with suppress(ftplib.error_perm):
        ftp.mkd(errand["folder"])
    ftp.cwd(errand["folder"])


def _name(message: Any) -> str:  # noqa: ANN401 - confluent_kafka has no types of its own
    return f"{message.partition()}-{message.offset():020d}.jpg"


def _consumer_settings(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": "loop",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 65536,
        "max.partition.fetch.bytes": 8 * 1024**2,
    }


if __name__ == "__main__":
    claim_answers()
    serve(Loop(sys.argv[1], sys.argv[2], int(sys.argv[3])).carry)
