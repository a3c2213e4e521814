"""What the old design's workers run. They import it by name, so that a model is loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from benchmarks.pipeline.models import PIXELS

BATCH: Final = 32


def judging(path: str) -> Any:  # noqa: ANN401 - a function of Arrow batches
    """Make what the workers run: it finds the model that its worker has loaded."""

    def judge(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            values = batch.column("value").to_pylist()
            labels = [
                label
                for start in range(0, len(values), BATCH)
                for label in labels_of(path, values[start : start + BATCH])
            ]
            yield _answered(batch, labels)

    return judge


def labels_of(path: str, values: list[bytes]) -> list[int]:
    """Decode at full size, judge a batch of a fixed length."""
    tf, model = _loaded(path)
    small = [
        tf.image.resize(tf.io.decode_jpeg(value, channels=3), (PIXELS, PIXELS)) / 255.0
        for value in values
    ]
    padded = tf.pad(tf.stack(small), [[0, BATCH - len(values)], [0, 0], [0, 0], [0, 0]])
    return [int(row.argmax()) for row in model(padded)[: len(values)].numpy()]


@cache
def _loaded(path: str) -> tuple[Any, Any]:
    """Load the model once a worker, with one thread: Spark runs one worker on each core."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.keras.models.load_model(path, compile=False)
    return tf, tf.function(lambda pixels: model(pixels, training=False))


def _answered(batch: Any, labels: list[int]) -> Any:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    columns = {name: batch.column(name) for name in ("partition", "offset", "value")}
    return pa.RecordBatch.from_pydict({**columns, "label": pa.array(labels, pa.int64())})
