"""Judge values in this process, by what the workers call: without Kafka and without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from frameferry.config.settings import ModelSettings
from frameferry.domain.columns import said_of
from frameferry.domain.records import Prediction, sha256_hex
from frameferry.errors import JudgingFailed


@dataclass(frozen=True, slots=True)
class Looked:
    """
    What was said of one value, as a worker's row has it.

    `small` and `seen` are PNGs: the whole picture, and what of it the model sees; None if they were
    not asked for, or cannot be drawn.
    """

    name: str
    prediction: Prediction
    small: bytes | None = None
    seen: bytes | None = None


def judge_here(
    settings: ModelSettings, named: Iterable[tuple[str, bytes]], *, with_pictures: bool
) -> Iterator[Looked]:
    """
    Judge values in the groups that a worker would make of them, in order.

    Args:
        settings: The pipeline's.
        named: What each is called, and its bytes.
        with_pictures: Draw each picture, and what of it the model sees.

    Raises:
        ModelMismatch: The model does not fit its card, or there is no such class.
        JudgingFailed: A class of yours raised, or said what is no verdict; names the value.
    """
    # They import NumPy, and TensorFlow with the first model: too slow for other commands.
    from frameferry.inference.judge import load_judge  # noqa: PLC0415
    from frameferry.inference.showing import seen, small  # noqa: PLC0415
    from frameferry.spark.worker import grouped  # noqa: PLC0415

    judge = load_judge(settings)
    at = 0
    for group in grouped(named, lambda one: len(one[1])):
        values = [value for _, value in group]
        try:
            verdicts = judge.judge(values)
        except JudgingFailed as error:
            raise _guilty(judge.judge, group, error) from error
        for (name, value), verdict in zip(group, verdicts, strict=True):
            row = Prediction(
                partition=0,
                offset=at,
                timestamp_ms=-1,
                source_name=name,
                size_bytes=len(value),
                sha256=sha256_hex(value),
                **said_of(verdict),
                reason=verdict.reason,
                detail=verdict.detail,
            )
            pictures = (small(value, settings), seen(value, settings)) if with_pictures else ()
            yield Looked(name, row, *pictures)
            at += 1


def _guilty(
    judge: Callable[[Sequence[bytes]], object],
    group: Sequence[tuple[str, bytes]],
    error: JudgingFailed,
) -> JudgingFailed:
    """Find the value at which a judge fails alone, and name it; *error* itself if there is none."""
    for name, value in group:
        try:
            judge([value])
        except JudgingFailed as alone:
            return JudgingFailed(f"{name}: {alone.what}", remedy=alone.remedy).at(
                **alone.where.known()
            )
    return error
