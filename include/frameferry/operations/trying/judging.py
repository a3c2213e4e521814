"""Judge local files exactly as a pipeline would, without Kafka and without Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frameferry.config.settings import PipelineSettings
from frameferry.errors import ConfigError
from frameferry.pipeline.judge.judging import quarantine_of
from frameferry.spark.here import Looked, judge_here


@dataclass(frozen=True, slots=True)
class Tried:
    """One file: what was said of it, and what the pipeline would do with it."""

    looked: Looked
    becomes: str


def try_files(
    settings: PipelineSettings, files: Sequence[Path], *, with_pictures: bool = False
) -> Iterator[Tried]:
    """
    Judge files in order; of a folder all files that lie in it, by name.

    The verdict of a file is that of a record with its bytes: it comes from the same call.

    Raises:
        ConfigError: The pipeline judges nothing, or a file cannot be read.
        ModelMismatch, JudgingFailed: As a worker would meet them.
    """
    if settings.model == "none":
        msg = f"{settings.pipeline} judges nothing: its model is none"
        raise ConfigError(msg, remedy="Name a pipeline with a model", pipeline=settings.pipeline)
    named = ((str(path), _read(path)) for path in _listed(files))
    for looked in judge_here(settings.model, named, with_pictures=with_pictures):
        yield Tried(looked, _becomes(settings, looked))


def _listed(files: Sequence[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from sorted(inner for inner in path.iterdir() if inner.is_file())
        else:
            yield path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise ConfigError(msg, remedy="Name files, or folders of files") from error


def _becomes(settings: PipelineSettings, looked: Looked) -> str:
    quarantine = quarantine_of(settings, looked.prediction)
    if quarantine is not None:
        return f"quarantined: {quarantine[0]}"
    return "delivered" if looked.prediction.label else "delivered, unjudged"
