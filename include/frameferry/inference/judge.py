"""Judge pictures with a loaded model: bytes in, one verdict each out."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frameferry.config.settings import ModelSettings
from frameferry.domain.columns import Said
from frameferry.errors import ModelMismatch
from frameferry.inference.answer import Answer, NoAnswer, answers
from frameferry.inference.card import FoundModel, Spec, effective, find_model, mismatch
from frameferry.inference.control import refuse_unfit_controls
from frameferry.inference.digest import (
    combined_digest,
    content_digest,
    judge_digest,
    model_files,
    refuse_other_content,
)
from frameferry.inference.feeding.gathering import gathered
from frameferry.inference.network import Network, load_network
from frameferry.inference.parity import refuse_other_outputs
from frameferry.inference.preprocess import Inputs, noise, preprocess, preprocess_and_remark
from frameferry.inference.undecodable import Reason, Undecodable

Stamps = dict[Path, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Verdict(Said):
    """
    What the judge says of one picture: a label and score, or a reason why not.

    `outputs` is label → share, shorter than 300 bytes. `reason` (one of `decode.Reason`) is set
    exactly when there is no label; `detail` then says more. Beside a label, `detail` is a remark on
    the picture, mostly None.
    """

    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Fed:
    """A picture that the model is fed: as how many inputs, and a remark on it."""

    tiles: int
    remark: str


class Judge:
    """One loaded model with its card. Not for two threads at once."""

    def __init__(self, digest: str, spec: Spec, network: Network) -> None:
        self.digest = digest
        self.spec = spec
        self._network = network

    def judge(self, values: Sequence[bytes]) -> list[Verdict]:
        """
        Judge pictures, in order; a bad one is a verdict with a reason, never an error.

        They are decoded one after the other, and fed to the model as many at once as it takes.
        """
        seen: list[Undecodable | _Fed] = []
        outputs = list(self._predicted(self._inputs(values, seen)))
        answered = iter(self._answers(outputs, [one for one in seen if isinstance(one, _Fed)]))
        return [
            Verdict(reason=each.reason.value, detail=each.detail)
            if isinstance(each, Undecodable)
            else _verdict(next(answered), each.remark)
            for each in seen
        ]

    def judge_nothing(self) -> Verdict:
        """Judge an input that shows nothing, to see whether the model answers at all."""
        [row] = self._predicted(iter(noise(1, self.spec)))
        [answer] = self._answers([row], [_Fed(1, "")])
        return _verdict(answer, "")

    def outputs(self, value: bytes) -> NDArray[np.float32] | Undecodable:
        """Say what the model itself gives for a picture: (tiles, outputs), or why nothing."""
        made = preprocess(value, self.spec)
        return (
            made if isinstance(made, Undecodable) else np.stack(list(self._predicted(iter(made))))
        )

    def _inputs(self, values: Sequence[bytes], seen: list[Undecodable | _Fed]) -> Iterator[Inputs]:
        """Yield the inputs of each picture; note in *seen* what became of it."""
        for value in values:
            made, remark = preprocess_and_remark(value, self.spec)
            if isinstance(made, Undecodable):
                seen.append(made)
            else:
                seen.append(_Fed(len(made), remark))
                yield from made

    def _predicted(self, inputs: Iterator[Inputs]) -> Iterator[NDArray[np.float32]]:
        """Yield the raw outputs of each input, in order."""
        stack = np.zeros((self._network.batch, *self.spec.input_shape), self.spec.input_dtype)
        while group := list(islice(inputs, len(stack))):
            stack[: len(group)] = group
            yield from self._network.predict(stack)[: len(group)]

    def _answers(
        self, outputs: Sequence[NDArray[np.float32]], fed: Sequence[_Fed]
    ) -> list[Answer | NoAnswer]:
        if not fed:
            return []
        rows = iter(outputs)
        whole = [gathered(np.stack(list(islice(rows, one.tiles))), self.spec) for one in fed]
        return answers(np.stack(whole), self.spec)


@dataclass(frozen=True, slots=True)
class _Loaded:
    judge: Judge
    stamps: Stamps


MOST_MODELS = 4
"""Models that a process keeps; if there are more, the least recently used one goes."""
_LOADED: OrderedDict[tuple[str, ModelSettings], _Loaded] = OrderedDict()
_LOCK = threading.Lock()
_COPY_PREFIX = "frameferry-model-"
_COPY_SECONDS = 3600
"""Far longer than loading takes: an older copy belongs to nobody."""


def load_judge(settings: ModelSettings, expected: str | None = None) -> Judge:
    """
    Load the model, once per process: a second call with these settings only looks at the files.

    The judge's digest is that of the bytes it was loaded from. They are copied while they are
    digested, so a file that changes meanwhile does no harm. A changed model is loaded anew.

    Args:
        settings: Which model.
        expected: The digest that the judge must have; None for any.

    Raises:
        ModelMismatch: The model is missing, does not fit its card, or is not the expected one:
            rows of one batch must not come from two models.
    """
    key = (str(Path(settings.path).absolute()), settings)
    with _LOCK:
        known = _LOADED.pop(key, None)
        if known is None or not _is_current(known.stamps):
            while len(_LOADED) >= MOST_MODELS:
                _LOADED.popitem(last=False)
            known = _fresh(settings, known)
        _LOADED[key] = known
    if expected is not None and known.judge.digest != expected:
        what = f"its files have digest {known.judge.digest[:12]} here, not {expected[:12]}"
        remedy = "Let the workers see the same model files, then run again"
        raise mismatch(Path(settings.path), what, remedy)
    return known.judge


def read_judge(settings: ModelSettings) -> Judge:
    """
    Load the model anew, whatever this process loaded before.

    Raises:
        ModelMismatch: The model is missing or does not fit its card.
    """
    found = find_model(settings.path)
    return _load(found, effective(found, settings))


def _fresh(settings: ModelSettings, known: _Loaded | None) -> _Loaded:
    # Stamps first: a file that changes while it is read is looked at again at the next call.
    stamps = _stamps(find_model(settings.path))
    found = find_model(settings.path)
    if known is not None and known.judge.digest == judge_digest(settings.path, settings):
        return replace(known, stamps=stamps)
    return _Loaded(_load(found, effective(found, settings)), stamps)


def _load(found: FoundModel, spec: Spec) -> Judge:
    _sweep_copies()
    with tempfile.TemporaryDirectory(prefix=_COPY_PREFIX) as folder:
        content = content_digest(found, Path(folder))
        refuse_other_content(found, content)
        copy = Path(folder) / found.path.name if found.kind == "keras" else Path(folder)
        try:
            network = load_network(replace(found, path=copy), spec)
        except ModelMismatch as error:
            what = error.what.replace(str(copy), str(found.path))
            raise mismatch(found.path, what, error.remedy) from error
    judge = Judge(combined_digest(content, spec), spec, network)
    refuse_unfit_controls(found, spec)
    refuse_other_outputs(found, judge.outputs)
    return judge


def _sweep_copies() -> None:
    """Remove copies that workers left behind when they were killed while loading."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_COPY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _COPY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _stamps(found: FoundModel) -> Stamps:
    paths = [*model_files(found).values(), *([found.card_path] if found.card_path else [])]
    try:
        return {path: _stamp(path) for path in paths}
    except OSError as error:
        raise mismatch(found.path, f"it cannot be read: {error}", "Put the model back") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_current(stamps: Stamps) -> bool:
    try:
        return all(_stamp(path) == stamp for path, stamp in stamps.items())
    except OSError:
        return False


def _verdict(answer: Answer | NoAnswer, remark: str) -> Verdict:
    if isinstance(answer, NoAnswer):
        return Verdict(reason=Reason.NO_ANSWER.value, detail=answer.why)
    return Verdict(**answer._asdict(), detail=remark or None)
