"""Judge pictures with a loaded model: bytes in, one verdict each out."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.answer import Answer, answers
from frameferry.inference.card import FoundModel, Spec, effective, find_model, mismatch
from frameferry.inference.control import control_pictures, refuse_unfit_controls
from frameferry.inference.digest import (
    combined_digest,
    content_digest,
    judge_digest,
    model_files,
    refuse_other_content,
)
from frameferry.inference.feeding.gathering import gathered
from frameferry.inference.network import Network, load_network
from frameferry.inference.outputs.finding import NoAnswer
from frameferry.inference.outputs.numbers import SEEN
from frameferry.inference.own.code import find_code
from frameferry.inference.own.judge import OwnJudge, load_own
from frameferry.inference.parity import refuse_other_outputs
from frameferry.inference.preprocess import Inputs, noise, preprocess, preprocess_and_remark
from frameferry.inference.undecodable import Reason, Undecodable
from frameferry.inference.verdict import Verdict
from frameferry.inference.versions import at_newest

Stamps = dict[Path, tuple[int, int, int]]
Row = Mapping[str, NDArray[Any]]
"""A model's outputs for one input, by name."""


@dataclass(frozen=True, slots=True)
class _Fed:
    """A picture that the model is fed: as how many inputs, and a remark on it."""

    tiles: int
    remark: str


class Judge:
    """One loaded model with its card. Not for two threads at once."""

    def __init__(self, digest: str, settings: ModelSettings, spec: Spec, network: Network) -> None:
        self.digest = digest
        self.spec = spec
        self._settings = settings
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

    def control_pictures(self) -> list[tuple[str | None, bytes]]:
        """
        Read pictures with the labels that a sound model gives them, None for any.

        Raises:
            ModelMismatch: One of them cannot be read.
        """
        return control_pictures(self._settings)

    def is_as_expected(self, expected: str | None, verdict: Verdict) -> bool:
        """Say whether a control was judged as it must be; `unsure` proves that all works, too."""
        if verdict.label is None or expected is None:
            return verdict.label is not None
        return verdict.label in {expected, self.spec.unsure}

    def judge_nothing(self) -> Verdict:
        """Judge an input that shows nothing, to see whether the model answers at all."""
        rows = list(self._predicted(iter(noise(1, self.spec))))
        [answer] = self._answers(rows, [_Fed(1, "")])
        return _verdict(answer, "")

    def outputs(self, value: bytes) -> NDArray[np.float32] | Undecodable:
        """
        Say what the model itself gives for a picture: (tiles, outputs), or why nothing.

        Raises:
            ModelMismatch: It has several outputs, and nobody says which is meant.
        """
        made = preprocess(value, self.spec)
        if isinstance(made, Undecodable):
            return made
        rows = list(self._predicted(iter(made)))
        names = [name for name in rows[0] if name != SEEN]
        if len(names) != 1:
            what = f"parity: one file holds outputs, and the model has several: {', '.join(names)}"
            raise mismatch(self._settings.name, what, "Keep parity's inputs only")
        raw = np.stack([row[names[0]] for row in rows])
        return raw[:, None] if raw.ndim == 1 else raw

    def _inputs(self, values: Sequence[bytes], seen: list[Undecodable | _Fed]) -> Iterator[Inputs]:
        """Yield the inputs of each picture; note in *seen* what became of it."""
        for value in values:
            made, remark = preprocess_and_remark(value, self.spec)
            if isinstance(made, Undecodable):
                seen.append(made)
            else:
                seen.append(_Fed(len(made), remark))
                yield from made

    def _predicted(self, inputs: Iterator[Inputs]) -> Iterator[Row]:
        """Yield the raw outputs of each input, in order."""
        stack = np.zeros((self._network.batch, *self.spec.input_shape), self.spec.input_dtype)
        while group := list(islice(inputs, len(stack))):
            stack[: len(group)] = group
            made = self._network.predict(stack)
            for number in range(len(group)):
                yield {name: raw[number] for name, raw in made.items()}

    def _answers(self, rows: Sequence[Row], fed: Sequence[_Fed]) -> list[Answer | NoAnswer]:
        if not fed:
            return []
        drawn = iter(rows)
        whole = [self._whole(list(islice(drawn, one.tiles))) for one in fed]
        stacks = {name: np.stack([row[name] for row in whole]) for name in whole[0]}
        return answers(stacks, self.spec)

    def _whole(self, tiles: Sequence[Row]) -> Row:
        """Make one row of a picture's tiles, which only models of one output have."""
        if len(tiles) == 1:
            return tiles[0]
        [name] = tiles[0]
        rows = np.stack([np.atleast_1d(tile[name]) for tile in tiles])
        return {name: gathered(rows, self.spec)}


@dataclass(frozen=True, slots=True)
class _Loaded:
    judge: Judge | OwnJudge
    stamps: Stamps


MOST_MODELS = 4
"""Models that a process keeps; if there are more, the least recently used one goes."""
_LOADED: OrderedDict[tuple[str, ModelSettings], _Loaded] = OrderedDict()
_LOCK = threading.Lock()
_COPY_PREFIX = "frameferry-model-"
_COPY_SECONDS = 3600
"""Far longer than loading takes: an older copy belongs to nobody."""


def load_judge(settings: ModelSettings, expected: str | None = None) -> Judge | OwnJudge:
    """
    Load the judge, once per process: a second call with these settings only looks at the files.

    The judge's digest is that of the bytes it was loaded from. They are copied while they are
    digested, so a file that changes meanwhile does no harm. A changed model is loaded anew.

    Args:
        settings: Which model.
        expected: The digest that the judge must have; None for any.

    Raises:
        ModelMismatch: The model is missing, does not fit its card, or is not the expected one:
            rows of one batch must not come from two models.
    """
    settings = at_newest(settings)
    key = (str(Path(settings.name).absolute()), settings)
    with _LOCK:
        known = _LOADED.pop(key, None)
        if known is None or not _is_current(known.stamps, settings):
            while len(_LOADED) >= MOST_MODELS:
                _LOADED.popitem(last=False)
            known = _fresh(settings, known)
        _LOADED[key] = known
    if expected is not None and known.judge.digest != expected:
        what = f"its files have digest {known.judge.digest[:12]} here, not {expected[:12]}"
        remedy = "Let the workers see the same model files, then run again"
        raise mismatch(settings.name, what, remedy)
    return known.judge


def read_judge(settings: ModelSettings) -> Judge | OwnJudge:
    """
    Load the judge anew, whatever this process loaded before.

    Raises:
        ModelMismatch: The model is missing or does not fit its card, or there is no such class.
    """
    if settings.judge is not None:
        return load_own(settings)
    found = find_model(settings.name)
    return _load(found, settings)


def _fresh(settings: ModelSettings, known: _Loaded | None) -> _Loaded:
    # Stamps first: a file that changes while it is read is looked at again at the next call.
    stamps = _stamps(_files(settings), settings)
    if known is not None and known.judge.digest == judge_digest(settings):
        return replace(known, stamps=stamps)
    return _Loaded(read_judge(settings), stamps)


def _load(found: FoundModel, settings: ModelSettings) -> Judge:
    spec = effective(found, settings)
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
    judge = Judge(combined_digest(content, spec), settings, spec, network)
    refuse_unfit_controls(found, spec)
    refuse_other_outputs(found, judge.outputs)
    return judge


def _sweep_copies() -> None:
    """Remove copies that workers left behind when they were killed while loading."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_COPY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _COPY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _files(settings: ModelSettings) -> list[Path]:
    """List what a judge is loaded from; a class of yours by all files of its package."""
    if settings.judge is not None:
        return [*find_code(settings.judge).files.values()]
    found = find_model(settings.name)
    return [*model_files(found).values(), *([found.card_path] if found.card_path else [])]


def _stamps(paths: Sequence[Path], settings: ModelSettings) -> Stamps:
    try:
        return {path: _stamp(path) for path in paths}
    except OSError as error:
        raise mismatch(settings.name, f"it cannot be read: {error}", "Put it back") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_current(stamps: Stamps, settings: ModelSettings) -> bool:
    # A file that is new in a package may be imported at any time; beside a model it is not read.
    paths = _files(settings) if settings.judge is not None else [*stamps]
    try:
        return {path: _stamp(path) for path in paths} == stamps
    except OSError:
        return False


def _verdict(answer: Answer | NoAnswer, remark: str) -> Verdict:
    if isinstance(answer, NoAnswer):
        return Verdict(reason=Reason.NO_ANSWER.value, detail=answer.why)
    return Verdict(**answer._asdict(), detail=remark or None)
