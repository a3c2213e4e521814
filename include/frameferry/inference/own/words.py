"""What a judge of yours is, and what it may say: the published types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    Say what a picture is.

    Args:
        label: 1 to 60 characters, none of them a control character. It may be part of a file's
            name, counted for drift and selected by in a replay.
        score: How sure you are, from 0 to 1; None if that means nothing.
        value: A number that you measured, finite.
        unit: What `value` is counted in, up to 20 characters.
        outputs: All else, as JSON can hold it: under 16 KiB, with text as keys.
    """

    label: str
    score: float | None = None
    value: float | None = None
    unit: str | None = None
    outputs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Say that this one picture cannot be judged, and why, in a few words."""

    why: str


@runtime_checkable
class PictureJudge(Protocol):
    """
    Judge pictures: made without arguments, loaded once in each process, then asked again and again.

    It may also have `control()`, which returns pairs of a picture's bytes and the label that it
    must be given: they tell a bad picture from a bad world. Without it a grey picture is judged.
    """

    def load(self) -> None:
        """Read what it needs. Called once, before the first picture; no DAG's parsing does."""

    def judge(self, pictures: Sequence[bytes], /) -> Sequence[Verdict | Unjudged]:
        """
        Judge pictures, in order.

        Args:
            pictures: 1 to 32 values of Kafka records, as they are: not empty, of at most
                `model.max_image_bytes`, and of a known format at most `model.max_pixels`. They may
                be anything but a picture.

        Returns:
            As many verdicts. Raise nothing for one picture's sake: say `Unjudged`.
        """
