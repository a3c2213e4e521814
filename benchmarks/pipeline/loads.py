"""What is carried: sizes of pictures, models, and how many pictures make one round of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Size:
    """A picture's pixels, and the noise that makes its JPEG as large as a camera's."""

    width: int
    height: int
    noise: float
    distinct: int

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}"


SIZES: Final = {
    size.name: size
    for size in (
        Size(640, 480, noise=7.35, distinct=16),
        Size(1600, 1200, noise=7.8, distinct=12),
        Size(4000, 3000, noise=8.3, distinct=6),
    )
}
CNN: Final = "cnn"
MOBILENET: Final = "mobilenet"
MODELS: Final = {CNN: "small CNN", MOBILENET: "MobileNetV2"}
PARTITIONS: Final = 4


NEAR: Final = "near"
FAR: Final = "far"
SCHEDULER: Final = "scheduler"
PARTS: Final = (NEAR, FAR, SCHEDULER)


@dataclass(frozen=True)
class Load:
    """One model on pictures of one size; a round carries *pictures* in about *batches*."""

    part: str
    size: Size
    model: str
    pictures: int
    batches: int

    @property
    def name(self) -> str:
        """Name it so that it may be part of a topic's and a pipeline's name."""
        return f"{self.part}-{self.model}-{self.size.width}"

    @property
    def batch_records(self) -> int:
        """Bound a batch: the transaction's markers are offsets too, and must not be left over."""
        return -(-(self.pictures + PARTITIONS) // self.batches)


def grown_to(records: int, last: int) -> int:
    """
    Count the pictures of a backlog after which the planner dares batches of so many records.

    It doubles its last batch each time, and a small rest would have it begin anew: so there is
    none. 0 where it dares them already.
    """
    total = 0
    while 2 * last < records:
        last *= 2
        total += last
    return max(0, total - PARTITIONS)


PICTURES: Final = {
    (CNN, "640x480"): 2400,
    (CNN, "1600x1200"): 800,
    (CNN, "4000x3000"): 128,
    (MOBILENET, "640x480"): 480,
    (MOBILENET, "1600x1200"): 360,
    (MOBILENET, "4000x3000"): 96,
}
"""A round of each takes the loop about 10 seconds on two cores, the old design up to 40."""
FAR_PICTURES: Final = 320
"""Takes the old design, which sends one after the other, a minute."""
FAR_BATCHES: Final = 2
FAR_MILLISECONDS: Final = 20


def near_loads(models: list[str], sizes: list[str], share: float, batches: int) -> list[Load]:
    """List what is carried over loopback; *share* scales the number of pictures."""
    return [
        Load(NEAR, SIZES[size], model, _scaled(PICTURES[model, size], share, batches), batches)
        for model in models
        for size in sizes
    ]


def far_load(share: float) -> Load:
    """Describe what is carried over a long way: small pictures, cheap to judge."""
    pictures = _scaled(FAR_PICTURES, share, FAR_BATCHES)
    return Load(FAR, SIZES["640x480"], CNN, pictures, FAR_BATCHES)


def scheduler_load(pictures: int, batches: int) -> Load:
    """Describe what is carried under Airflow: many batches, of pictures cheap to judge."""
    return Load(SCHEDULER, SIZES["640x480"], CNN, pictures, batches)


def _scaled(pictures: int, share: float, batches: int) -> int:
    return max(batches, round(pictures * share))
