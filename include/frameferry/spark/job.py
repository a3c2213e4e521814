"""The judge job: all that judging one batch needs, also as JSON for another process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from frameferry.config.connections import KafkaConnection
from frameferry.config.secrets import is_secret_option
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.inference.versions import at_newest


@dataclass(frozen=True, slots=True)
class JudgeJob:
    """
    One batch's judging: which offsets, judged by what.

    Args:
        kafka: Its options may hold secrets: they never show in a repr, a command line, a log or an
            error.
        ranges: No offset lies in two of them.
        max_bytes: A task stops the job before the record that would exceed it; None for no bound.
        name_headers: They travel with the rows, since names are made of them.
        seconds_per_offset: The pace of the last batches; None if unknown. Tasks are cut by it, so
            that other jobs get their turn.
        judge_digest: The digest that the workers' model must have; None if it cannot be read here.
        asked_at: When the job was handed over, in seconds since 1970; None if nobody wants to know
            how long its workers took to begin.
        epoch: The epoch of the ledger that holds the batch.
        deadline_seconds: How long the caller waits for the answer; None for ever. A worker that a
            quota holds back says so before that.
    """

    pipeline: str
    topic: str
    kafka: KafkaConnection = field(repr=False)
    ranges: tuple[OffsetRange, ...]
    filename_header: str
    model: ModelSettings
    batch_id: int
    attempt: int
    generation: int = 1
    max_bytes: int | None = None
    name_headers: tuple[str, ...] = ()
    seconds_per_offset: float | None = None
    judge_digest: str | None = None
    asked_at: float | None = None
    epoch: str = ""
    deadline_seconds: float | None = None

    def __post_init__(self) -> None:
        twice = [pair for pair in pairwise(sorted(self.ranges)) if pair[0].overlaps(pair[1])]
        if twice or not self.ranges:
            msg = "no range"
            if twice:
                msg = f"a judge job takes no offset twice, as in {twice[0][0]} and {twice[0][1]}"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """The job's name, for people."""
        return f"{self.pipeline} {self.batch_id}-{self.attempt}"

    @property
    def tag(self) -> str:
        """Tag the job's operations, so that a newer attempt can interrupt them."""
        return self.tag_of(self.attempt)

    def tag_of(self, attempt: int) -> str:
        """Tag the operations of one attempt at the batch: several ledgers may share a server."""
        return f"frameferry-{self.epoch[:8]}-{self.batch_id}-{attempt}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """List the option values that must never be shown."""
        return tuple(
            str(value)
            for name, value in self.kafka.options.items()
            if is_secret_option(name) and value
        )

    @property
    def placed_model(self) -> ModelSettings:
        """The model's newest version, with an absolute path if it is on this machine's disk."""
        return at_newest(self.model)

    def to_json(self) -> str:
        """Write the job down for another process. The text holds the options' secrets."""
        content: dict[str, Any] = {
            "pipeline": self.pipeline,
            "topic": self.topic,
            "kafka": self.kafka.model_dump(mode="json"),
            "ranges": [[wanted.partition, wanted.start, wanted.end] for wanted in self.ranges],
            "filename_header": self.filename_header,
            "model": self.placed_model.model_dump(mode="json"),
            "batch_id": self.batch_id,
            "attempt": self.attempt,
            "generation": self.generation,
            "max_bytes": self.max_bytes,
            "name_headers": self.name_headers,
            "seconds_per_offset": self.seconds_per_offset,
            "asked_at": self.asked_at,
            "epoch": self.epoch,
            "judge_digest": self.judge_digest,
            "deadline_seconds": self.deadline_seconds,
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> JudgeJob:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        ranges = tuple(OffsetRange(*wanted) for wanted in content.pop("ranges"))
        model = ModelSettings.model_validate(content.pop("model"))
        kafka = KafkaConnection.model_validate(content.pop("kafka"))
        headers = tuple(content.pop("name_headers"))
        return cls(ranges=ranges, model=model, kafka=kafka, name_headers=headers, **content)


@dataclass(frozen=True, slots=True)
class ControlJob:
    """
    The control of a batch: the pictures of the model's card, judged where the batch is judged.

    It meets what the batch meets: the first records of its ranges are read, not judged. So what
    fails here is not a picture's fault. It carries the batch's tag: a newer attempt interrupts it.
    """

    of: JudgeJob

    @property
    def name(self) -> str:
        """The control's name, for people."""
        return f"control of {self.of.name}"

    @property
    def tag(self) -> str:
        """Tag the job's operations, as the batch's own."""
        return self.of.tag

    def tag_of(self, attempt: int) -> str:
        """Tag the operations of one attempt at the batch."""
        return self.of.tag_of(attempt)

    @property
    def attempt(self) -> int:
        """The attempt at the batch."""
        return self.of.attempt

    @property
    def secrets(self) -> tuple[str, ...]:
        """List the option values that must never be shown."""
        return self.of.secrets

    def to_json(self) -> str:
        """Write the job down for another process. The text holds the options' secrets."""
        return json.dumps({"control": json.loads(self.of.to_json())})


def read_job(text: str) -> JudgeJob | ControlJob:
    """Read what either job's `to_json` wrote."""
    content = json.loads(text)
    if "control" in content:
        return ControlJob(JudgeJob.from_json(json.dumps(content["control"])))
    return JudgeJob.from_json(text)
