"""Judge pictures with a class of yours, within the bounds that hold for a model."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.errors import FrameferryError, JudgingFailed
from frameferry.inference.own import words
from frameferry.inference.own.code import FoundCode, find_code, foreign
from frameferry.inference.own.identity import own_digest
from frameferry.inference.own.importing import imported
from frameferry.inference.own.saying import flaw_of, outputs_text
from frameferry.inference.undecodable import Reason, Undecodable
from frameferry.inference.verdict import Verdict

_MEASURED: Final = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Formats whose size in pixels is looked up; what others announce is the judge's own care."""
_CONTROL_PIXELS: Final = 64
_WORDS: Final = 300


class OwnJudge:
    """A class of yours, loaded. Not for two threads at once."""

    unsure: None = None

    def __init__(self, digest: str, settings: ModelSettings, judge: Any) -> None:  # noqa: ANN401
        self.digest = digest
        self._settings = settings
        self._name = str(settings.judge)
        self._judge = judge

    def judge(self, values: Sequence[bytes]) -> list[Verdict]:
        """
        Judge pictures, in order; one that is out of bounds is never handed over.

        Raises:
            JudgingFailed: The class raised, or its answer is not one verdict a picture.
        """
        bad = [out_of_bounds(value, self._settings) for value in values]
        fit = [value for value, flaw in zip(values, bad, strict=True) if flaw is None]
        said = iter(self._said(fit)) if fit else iter(())
        return [
            Verdict(reason=flaw.reason.value, detail=flaw.detail) if flaw else _verdict(next(said))
            for flaw in bad
        ]

    def control_pictures(self) -> list[tuple[str | None, bytes]]:
        """
        Take the class's own pictures with known labels; a grey one without a label if it has none.

        Raises:
            JudgingFailed: The class raised, or what it has is no pairs of bytes and label.
        """
        if not hasattr(self._judge, "control"):
            return [(None, _grey())]
        pairs = _asked(self._name, "control", self._judge.control)
        try:
            known = [(str(label), bytes(picture)) for picture, label in pairs]
        except (TypeError, ValueError) as error:
            msg = f"control() returned no pairs of a picture's bytes and its label: {error}"
            raise _failed(self._name, msg) from error
        return [*known] or [(None, _grey())]

    def is_as_expected(self, expected: str | None, verdict: Verdict) -> bool:
        """Say whether a control was judged as it must be: a grey picture may also be `Unjudged`."""
        return expected is None or verdict.label == expected

    def _said(self, values: list[bytes]) -> Sequence[words.Verdict | words.Unjudged]:
        found = _asked(self._name, "judge", lambda: self._judge.judge(values))
        if flaw := flaw_of(found, len(values)):
            raise _failed(self._name, flaw)
        said: Sequence[words.Verdict | words.Unjudged] = found
        return said


def load_own(settings: ModelSettings) -> OwnJudge:
    """
    Import the class that `model.judge` names, make one and load it.

    Raises:
        ModelMismatch: It is missing, is no judge, or cannot be loaded; or its code changed
            meanwhile.
    """
    found = find_code(str(settings.judge))
    before = own_digest(found, settings)
    judge = _made(found)
    if own_digest(find_code(found.judge), settings) != before:
        what = "its code changed while it was loaded"
        raise foreign(found.judge, what, "Run again once the files are in place")
    return OwnJudge(before, settings, judge)


def out_of_bounds(value: bytes, settings: ModelSettings) -> Undecodable | None:
    """Say what keeps a value from the judge: no bytes, too many, or too many pixels announced."""
    if not value:
        return Undecodable(Reason.EMPTY, "0 bytes")
    if len(value) > settings.max_image_bytes:
        detail = f"{len(value):,} bytes, at most {int(settings.max_image_bytes):,}"
        return Undecodable(Reason.TOO_LARGE, detail)
    width, height = _announced(value)
    if width * height > settings.max_pixels:
        detail = f"{width} x {height} = {width * height:,} pixels, at most {settings.max_pixels:,}"
        return Undecodable(Reason.TOO_MANY_PIXELS, detail)
    return None


def _announced(value: bytes) -> tuple[int, int]:
    """Read width and height from the header; 0 where nothing tells them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Pillow's own bound is not ours, and it raises instead of telling the size.
            bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            with Image.open(io.BytesIO(value), formats=_MEASURED) as image:
                return image.size
        except Exception:  # noqa: BLE001 - a header of any kind; the judge may know better
            return 0, 0
        finally:
            Image.MAX_IMAGE_PIXELS = bound


def _made(found: FoundCode) -> Any:  # noqa: ANN401 - a class of theirs
    kind = _loaded(found, "import", lambda: getattr(imported(found), found.attribute, None))
    if not isinstance(kind, type):
        what = f"{found.attribute} in {found.file} is no class"
        raise foreign(found.judge, what, "Name a class with the methods load and judge")
    missing = [name for name in ("load", "judge") if not callable(getattr(kind, name, None))]
    if missing:
        what = f"{found.attribute} in {found.file} has no {' and no '.join(missing)}"
        raise foreign(found.judge, what, "Give it load(self) and judge(self, pictures)")
    judge = _loaded(found, found.attribute, kind)
    _loaded(found, "load", judge.load)
    return judge


def _loaded(found: FoundCode, step: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        with _stdout_to_stderr():
            return call()
    except FrameferryError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{step} raised {_told(error)}"
        raise foreign(found.judge, what, "Mend it, or what it needs; then run again") from error


def _asked(name: str, step: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        with _stdout_to_stderr():
            return call()
    except (Exception, SystemExit) as error:
        raise _failed(name, f"{step} raised {_told(error)}") from error


def _failed(name: str, what: str) -> JudgingFailed:
    remedy = "Mend the class; of a picture that it cannot judge it should say Unjudged"
    return JudgingFailed(f"model.judge: {what}", remedy=remedy, model=name)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Keep what a judge prints from the output that programs read."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _told(error: BaseException) -> str:
    """Write an error in one line, with the innermost place of theirs."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{text[:_WORDS]}{place}"


def _verdict(said: words.Verdict | words.Unjudged) -> Verdict:
    if isinstance(said, words.Unjudged):
        return Verdict(reason=Reason.NO_ANSWER.value, detail=" ".join(said.why.split())[:_WORDS])
    return Verdict(
        label=said.label,
        score=None if said.score is None else round(float(said.score), 6),
        outputs=outputs_text(said.outputs),
        value=None if said.value is None else float(said.value),
        unit=said.unit,
    )


def _grey() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (_CONTROL_PIXELS, _CONTROL_PIXELS), (128, 128, 128)).save(target, "PNG")
    return target.getvalue()
