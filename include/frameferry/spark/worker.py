"""What runs on the executors: image bytes in, small rows out. Imported there by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from frameferry.config.settings import ModelSettings
from frameferry.domain.headers import header_text
from frameferry.domain.records import sha256_hex
from frameferry.errors import BatchTooBig
from frameferry.inference.control import control_pictures
from frameferry.inference.judge import Judge, Verdict, load_judge

SUB_BATCH_IMAGES = 32
"""Images judged in one model call: enough to fill it, few enough to keep memory flat."""
ROWS = pa.schema(
    [
        ("partition", pa.int64()),
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("source_name", pa.string()),
        ("size_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("label", pa.string()),
        ("score", pa.float64()),
        ("outputs", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("headers", pa.map_(pa.string(), pa.string())),
        ("judge_digest", pa.string()),
    ]
)
CONTROL_ROWS = pa.schema([("as_expected", pa.bool_()), ("said", pa.string())])
BatchFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def judge_batches(
    settings: ModelSettings, max_bytes: int | None = None, name_headers: Sequence[str] = ()
) -> BatchFunction:
    """
    Bind the model's settings to the function that judges one task's record batches.

    A task stops with BatchTooBig before the record by which it would pass *max_bytes*, never
    before its first. A partial of a module's function is pickled by name, so a warm worker finds
    the module, and with it the loaded model, where it left them.
    """
    return partial(_judge_batches, settings, max_bytes, tuple(name_headers))


def control_batches(settings: ModelSettings) -> BatchFunction:
    """Bind the model's settings to the function that judges its card's pictures, once a task."""
    return partial(_control_batches, settings)


def _judge_batches(
    settings: ModelSettings,
    max_bytes: int | None,
    name_headers: Sequence[str],
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    read_bytes = 0
    for batch in batches:
        for start in range(0, batch.num_rows, SUB_BATCH_IMAGES):
            images = batch.slice(start, SUB_BATCH_IMAGES)
            if max_bytes is not None:
                read_bytes = _counted(images, read_bytes, max_bytes)
            yield _judged(load_judge(settings), images, name_headers)


def _counted(images: pa.RecordBatch, read_bytes: int, max_bytes: int) -> int:
    """Add up what the task has read; stop before the record that is too much, if not the first."""
    lengths = pc.binary_length(images.column("value")).to_pylist()
    for row, length in enumerate(lengths):
        if read_bytes and read_bytes + (length or 0) > max_bytes:
            place = {name: images.column(name)[row].as_py() for name in ("partition", "offset")}
            msg = f"the batch passes its bound of {max_bytes} bytes here"
            raise BatchTooBig(msg, remedy="It is split", **place)
        read_bytes += length or 0
    return read_bytes


def _control_batches(
    settings: ModelSettings, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        judge = load_judge(settings)
        known = control_pictures(settings)
        verdicts = judge.judge([picture for _, picture in known])
        pairs = [(label, verdict) for (label, _), verdict in zip(known, verdicts, strict=True)]
        yield pa.RecordBatch.from_pydict(
            {
                "as_expected": [_is_as_expected(judge, *pair) for pair in pairs],
                "said": [verdict.label or verdict.detail for _, verdict in pairs],
            },
            schema=CONTROL_ROWS,
        )


def _is_as_expected(judge: Judge, expected: str | None, verdict: Verdict) -> bool:
    """A score under the pipeline's own threshold is as good an answer: the model works."""
    if verdict.label is None or expected is None:
        return verdict.label is not None
    return verdict.label in {expected, judge.spec.unsure}


def _judged(judge: Judge, batch: pa.RecordBatch, name_headers: Sequence[str]) -> pa.RecordBatch:
    values = [value or b"" for value in batch.column("value").to_pylist()]
    verdicts = judge.judge(values)
    columns: dict[str, Sequence[Any]] = {
        "partition": batch.column("partition").to_pylist(),
        "offset": batch.column("offset").to_pylist(),
        "timestamp_ms": batch.column("timestamp_ms").to_pylist(),
        "source_name": [header_text(name) for name in batch.column("name").to_pylist()],
        "size_bytes": [len(value) for value in values],
        "sha256": [sha256_hex(value) for value in values],
        "label": [verdict.label for verdict in verdicts],
        "score": [verdict.score for verdict in verdicts],
        "outputs": [verdict.outputs for verdict in verdicts],
        "reason": [verdict.reason for verdict in verdicts],
        "detail": [verdict.detail for verdict in verdicts],
        "headers": [_named(name_headers, texts) for texts in batch.column("headers").to_pylist()],
        "judge_digest": [judge.digest] * len(values),
    }
    return pa.RecordBatch.from_pydict(columns, schema=ROWS)


def _named(names: Sequence[str], values: Sequence[bytes | None]) -> list[tuple[str, str]]:
    """Pair the headers that are there with their names."""
    texts = zip(names, map(header_text, values), strict=True)
    return [(name, text) for name, text in texts if text is not None]
