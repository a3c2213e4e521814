"""A line through what batches took: a fixed cost, and one per record and byte, never negative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Final

_NOISE: Final = 0.2
"""The prior: how far off the line a batch's time is, as a logarithm, before batches tell."""
_DOUBT: Final = 3
"""The weight of that prior, in batches."""
_TAIL: Final = 0.3
"""A batch that is off by more than this counts hardly more: one slow one does not bend the line."""
_SURE: Final = 1.0
"""How much worse a line may fit and still be believed if a fixed cost has to be *sure*."""
_WITNESSES: Final = 4
"""With fewer batches no fixed cost is sure: noise alone makes one out of two or three."""
_LEAST_SECONDS: Final = 0.001

_USUAL_FIXED_SECONDS: Final = 3.0
_USUAL_FIXED_SHARE: Final = 0.05
"""The prior of a fixed cost, before different sizes tell: the lesser of the two."""
_FIXED_DOUBT: Final = 10
_BYTES_DOUBT: Final = 50
_MOST_DOUBT: Final = 0.1
"""How loosely that prior, an even share of bytes, and the fixed cost's upper bound are held to."""

_FIXED_LOGITS: Final = tuple(1.5 * step for step in range(-6, 5))
_BYTES_LOGITS: Final = tuple(2.0 * step for step in range(-2, 3))
_FURTHEST_LOGIT: Final = 20.0
"""A share of a billionth is none: beyond it numbers would overflow."""
_LARGEST_STEP: Final = 1.0
_SMALLEST_STEP: Final = 0.1
_TIE: Final = 1e-9
_BISECTIONS: Final = 6
_ALIKE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """What one batch held, and the seconds that it took."""

    records: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """
    What a batch takes, in seconds, by what it holds.

    `sure_fixed_seconds` is the least fixed cost that fits nearly as well. If all batches were of
    one size, fixed and marginal cost cannot be told apart, and little of it is sure.
    """

    fixed_seconds: float
    seconds_per_record: float
    seconds_per_byte: float
    sure_fixed_seconds: float

    def seconds(self, records: float, size_bytes: float) -> float:
        """Estimate the seconds of a batch."""
        return (
            self.fixed_seconds
            + self.seconds_per_record * records
            + self.seconds_per_byte * size_bytes
        )

    def miss(self, sample: Sample) -> float:
        """Say by how much a batch was slower than estimated, as a logarithm."""
        return _log(sample.seconds) - _log(self.seconds(sample.records, sample.size_bytes))


def fit_line(samples: Sequence[Sample], *, most_fixed_seconds: float) -> Line:
    """
    Fit fixed and marginal costs to what batches took.

    A grid of shapes is tried: how much of the largest batch is fixed, and how much of the rest goes
    by bytes. A shape's height is the samples' robust middle, and they stray least from the shape
    that wins. So nothing can be negative or run away, a tenfold outlier is only one that strays,
    and if shapes fit alike the usual one is taken.

    Args:
        samples: At least one, in any order.
        most_fixed_seconds: The shortest batch ever seen: no fixed cost is longer.
    """
    trials = _Trials.of(samples, most_fixed_seconds)
    best = trials.best()
    sure = trials.sure(best)
    return Line(
        fixed_seconds=best.height * best.fixed,
        seconds_per_record=_a_piece(best.height * best.by_records, trials.most_records),
        seconds_per_byte=_a_piece(best.height * best.by_bytes, trials.most_bytes),
        sure_fixed_seconds=sure.height * sure.fixed if len(samples) >= _WITNESSES else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """
    One shape, tried: the logits of its fixed share and of the bytes' share in the rest.

    `height` are the seconds of a batch as large as the largest; `loss` says how badly it fits.
    """

    fixed_logit: float
    bytes_logit: float
    height: float = 1.0
    loss: float = 0.0

    @property
    def fixed(self) -> float:
        return _share(self.fixed_logit)

    @property
    def by_bytes(self) -> float:
        return (1 - self.fixed) * _share(self.bytes_logit)

    @property
    def by_records(self) -> float:
        return (1 - self.fixed) * (1 - _share(self.bytes_logit))


@dataclass(frozen=True, slots=True)
class _Trials:
    """The samples as shares of the largest, and every shape that was tried on them."""

    most_records: int
    most_bytes: int
    most_fixed_seconds: float
    records: tuple[float, ...]
    sizes: tuple[float, ...]
    logs: tuple[float, ...]
    tried: dict[tuple[float, float], _Trial] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Sequence[Sample], most_fixed_seconds: float) -> _Trials:
        most_records = max(sample.records for sample in samples)
        most_bytes = max(sample.size_bytes for sample in samples)
        return cls(
            most_records=most_records,
            most_bytes=most_bytes,
            most_fixed_seconds=max(most_fixed_seconds, _LEAST_SECONDS),
            records=tuple(sample.records / max(most_records, 1) for sample in samples),
            sizes=tuple(sample.size_bytes / max(most_bytes, 1) for sample in samples),
            logs=tuple(_log(sample.seconds) for sample in samples),
        )

    def best(self) -> _Trial:
        """
        Find the shape of least loss: on a grid, then around its best ones in ever finer steps.

        There is one for each share of the bytes: if pictures of two sizes tell much, the true shape
        lies in a valley narrower than the grid.
        """
        starts = [
            min((self._try(fixed, by_bytes) for fixed in _FIXED_LOGITS), key=_loss)
            for by_bytes in ((0.0,) if self._are_alike() else _BYTES_LOGITS)
        ]
        return min((self._refined(start) for start in starts), key=_loss)

    def _refined(self, best: _Trial) -> _Trial:
        step = _LARGEST_STEP
        while step > _SMALLEST_STEP:
            better = min(self._around(best, step), key=_loss)
            if better.loss < best.loss - _TIE:
                best = better
            else:
                step /= 2
        return best

    def sure(self, best: _Trial) -> _Trial:
        """Find the least fixed share that fits nearly as well as the best one."""
        low, sure = _FIXED_LOGITS[0], best
        for _ in range(_BISECTIONS):
            one = self._try((low + sure.fixed_logit) / 2, best.bytes_logit)
            if one.loss <= best.loss + _SURE:
                sure = one
            else:
                low = one.fixed_logit
        return sure

    def _around(self, trial: _Trial, step: float) -> Iterator[_Trial]:
        beside = (0.0,) if self._are_alike() else (-step, 0.0, step)
        for more_bytes in beside:
            for more_fixed in (-step, 0.0, step):
                yield self._try(
                    _within(trial.fixed_logit + more_fixed),
                    _within(trial.bytes_logit + more_bytes),
                )

    def _are_alike(self) -> bool:
        """Say whether all pictures are of one size: then the bytes' share cannot matter."""
        pairs = zip(self.records, self.sizes, strict=True)
        return all(abs(records - size) <= _ALIKE * records for records, size in pairs)

    def _try(self, fixed_logit: float, bytes_logit: float) -> _Trial:
        key = fixed_logit, bytes_logit
        if key not in self.tried:
            self.tried[key] = self._measured(_Trial(fixed_logit, bytes_logit))
        return self.tried[key]

    def _measured(self, trial: _Trial) -> _Trial:
        fixed, by_records, by_bytes = trial.fixed, trial.by_records, trial.by_bytes
        misses = [
            seconds - log(fixed + by_records * records + by_bytes * size)
            for seconds, records, size in zip(self.logs, self.records, self.sizes, strict=True)
        ]
        middle = _middle(misses)
        fixed_log = middle + log(fixed)
        loss = _strays(misses, middle) + self._oddness(fixed_log, middle, trial.bytes_logit)
        return _Trial(trial.fixed_logit, trial.bytes_logit, exp(middle), loss)

    def _oddness(self, fixed_log: float, height_log: float, bytes_logit: float) -> float:
        """Weigh how far a shape is from the priors: they decide only if the samples do not."""
        usual = min(log(_USUAL_FIXED_SECONDS), height_log + log(_USUAL_FIXED_SHARE))
        beyond = max(fixed_log - log(self.most_fixed_seconds), 0.0)
        return (
            (fixed_log - usual) ** 2 / _FIXED_DOUBT
            + bytes_logit**2 / _BYTES_DOUBT
            + beyond**2 / _MOST_DOUBT
        )


def _loss(trial: _Trial) -> float:
    return trial.loss


def _middle(misses: Sequence[float]) -> float:
    """
    Find where most of the misses are.

    It begins at the lower median: a machine is slow at times, and never ten times as fast.
    """
    middle = sorted(misses)[(len(misses) - 1) // 2]
    for _ in range(4):
        weights = [1 / (1 + ((miss - middle) / _TAIL) ** 2) for miss in misses]
        middle = sum(w * miss for w, miss in zip(weights, misses, strict=True)) / sum(weights)
    return middle


def _strays(misses: Sequence[float], middle: float) -> float:
    """
    Weigh how far the samples stray, relative to their own spread.

    So a machine of even pace is believed to the second, and an uneven one only roughly.
    """
    strayed = sum(
        _TAIL**2 * x / (1 + x) for x in (((miss - middle) / _TAIL) ** 2 for miss in misses)
    )
    return (_DOUBT + len(misses)) / 2 * log(1 + strayed / (_DOUBT * _NOISE**2))


def _a_piece(seconds: float, pieces: int) -> float:
    return seconds / pieces if pieces else 0.0


def _within(logit: float) -> float:
    return max(-_FURTHEST_LOGIT, min(logit, _FURTHEST_LOGIT))


def _share(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def _log(seconds: float) -> float:
    return log(max(seconds, _LEAST_SECONDS))
