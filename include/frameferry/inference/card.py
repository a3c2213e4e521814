"""
A model's card: `card.yaml` beside the model, and those of its keys that decide a verdict.

A pipeline's file names a folder, a SavedModel or a `.keras` file. What the pipeline's file leaves
out comes from the card. Without a card, it must hold everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frameferry.config.pictures import PicturesSettings
from frameferry.config.preprocessing import Preprocessing, PreprocessingSettings
from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.outputs.stated import Label, Stated
from frameferry.inference.versions import newest

Output = Literal["softmax", "logits", "sigmoid"]
Kind = Literal["keras", "saved_model"]
OutputName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,59}$")]
PlainPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*$")]

LABEL: Final = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
CARD_NAME: Final = "card.yaml"
SAVED_MODEL_NAME: Final = "saved_model.pb"
KERAS_SUFFIX: Final = ".keras"
_SETTING_OF: Final = {
    "height_pixels": "input_height_pixels",
    "width_pixels": "input_width_pixels",
}
"""Names in a pipeline's file that differ from those of a Spec."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSize(_Frozen):
    """The model's input."""

    height_pixels: int = Field(ge=1, le=8192, description="Pictures are stretched to this height.")
    width_pixels: int = Field(ge=1, le=8192, description="Pictures are stretched to this width.")


class Control(_Frozen):
    """A picture that a sound model labels as stated, to tell a bad picture from a bad world."""

    picture: PlainPath = Field(description="Path of the picture, from the card's folder.")
    label: Label = Field(description="What the model must say of it.")


class Parity(_Frozen):
    """What training fed and got for a picture, to hold against what is fed and got here."""

    picture: PlainPath = Field(description="Path of the picture, from the card's folder.")
    inputs: PlainPath | None = Field(
        default=None, description="A `.npy` file of the model's input for it, tiles first."
    )
    outputs: PlainPath | None = Field(
        default=None, description="A `.npy` file of the model's raw outputs for it, tiles first."
    )
    tolerance: float | None = Field(
        default=None,
        gt=0,
        description="How far each number may be off, absolute and relative; unset: 1e-6 for "
        "inputs, 1e-4 for outputs.",
    )


class Card(_Frozen):
    """What `card.yaml` may say. Keys that a pipeline's file can override may be left out."""

    name: str = Field(default="", description="What the model is called.")
    version: str = Field(default="", description="Which edition it is.")
    model: PlainPath | None = Field(
        default=None,
        description="The `.keras` file or SavedModel folder beside the card; may be left out where "
        "only one lies there.",
    )
    input: InputSize | None = Field(default=None, description="The model's input size.")
    preprocessing: Preprocessing | None = Field(
        default=None,
        description="Feed pixels as 0..1 (`unit`), -1..1 (`signed`), 0..255 (`raw`), or as a "
        "mapping says.",
    )
    labels: tuple[Label, ...] | None = Field(
        default=None, description="The labels in the order of the outputs."
    )
    output: Output | None = Field(
        default=None, description="What the output numbers are: `softmax`, `logits`, `sigmoid`."
    )
    unsure: Label | None = Field(
        default=None, description="The label for scores under the pipeline's threshold, if any."
    )
    outputs: dict[OutputName, Stated] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="In place of `labels` and `output`: several outputs, or other kinds; see "
        "[Other outputs](#other-outputs).",
    )
    verdict: str | None = Field(
        default=None, description="Which of `outputs` gives label and score; the first of them."
    )
    signature: str | None = Field(
        default=None,
        min_length=1,
        description="Which signature of a SavedModel to call; `serving_default` if it is not said.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Pins the model's content: the sha256 of a `.keras` file; of a SavedModel the "
        "sha256 of the lines that `sha256sum` prints of its files, sorted by path.",
    )
    control: tuple[Control, ...] = Field(
        default=(), description="Pictures with a known answer, a few KB each."
    )
    parity: tuple[Parity, ...] = Field(
        default=(), description="Pictures with the inputs and outputs that training saw."
    )
    data: str = Field(default="", description="What the model learnt from, and its limits.")
    metrics: dict[str, float | int | str] = Field(
        default_factory=dict, description="How it did, on which pictures."
    )
    retrain: str = Field(default="", description="The command that trains it again.")
    licence: str = Field(default="", description="Under which terms it may be used.")


@dataclass(frozen=True, slots=True)
class Spec:
    """
    All that decides a verdict besides the model's own bytes.

    A score under `threshold` is labelled `unsure` if that is set; otherwise the label stands.
    16-bit grey uses its lowest `grey_bits`, and the model sees the upper 8 of these. If there are
    `outputs`, of which `verdict` names one, `labels` is empty, and `output` and `unsure` are idle.
    """

    height_pixels: int
    width_pixels: int
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    output: Output
    unsure: str | None
    threshold: float
    max_pixels: int
    max_image_bytes: int
    grey_bits: int = 16
    pictures: PicturesSettings = field(default_factory=PicturesSettings)
    outputs: tuple[tuple[str, Stated], ...] = ()
    verdict: str = ""
    signature: str | None = None

    @property
    def steps(self) -> PreprocessingSettings | None:
        """The mapping under `preprocessing`; None where one of the three words stands there."""
        return None if isinstance(self.preprocessing, str) else self.preprocessing

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one input of the model."""
        if (steps := self.steps) is None:
            return self.height_pixels, self.width_pixels, 3
        if steps.order == "channels_first":
            return steps.channel_count, self.height_pixels, self.width_pixels
        return self.height_pixels, self.width_pixels, steps.channel_count

    @property
    def input_dtype(self) -> str:
        """The type of the numbers that the model is fed."""
        return "float32" if self.steps is None else self.steps.dtype


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on disk: `path` is the `.keras` file or the SavedModel folder."""

    path: Path
    kind: Kind
    card: Card
    card_path: Path | None

    def control_pictures(self) -> list[tuple[str, bytes]]:
        """
        Read the card's control pictures: (label, image bytes).

        Raises:
            ModelMismatch: One of them cannot be read.
        """
        folder = self.card_path.parent if self.card_path else self.path
        try:
            return [(c.label, (folder / c.picture).read_bytes()) for c in self.card.control]
        except OSError as error:
            what = f"a control picture of the card cannot be read: {error}"
            raise mismatch(self.path, what, "Put the model's folder back whole") from error


def mismatch(path: Path | str, what: str, remedy: str) -> ModelMismatch:
    """Make the error, with the model's path in it."""
    return ModelMismatch(what, remedy=remedy, model=str(path))


def find_model(path: str) -> FoundModel:
    """
    Find a model and its card.

    Args:
        path: A `.keras` file, a SavedModel folder, a folder with `card.yaml` and one of them, or a
            folder of numbered versions; a relative path starts at the working folder.

    Raises:
        ModelMismatch: Nothing is there, or it is none of these, or the card is broken.
    """
    place = newest(Path(path).absolute())
    if not place.exists():
        named = path if "://" in path else place
        remedy = "Set model.path to a folder or .keras file that every Spark worker can read"
        raise mismatch(named, "there is no model", remedy)
    if kind := _kind(place):
        return FoundModel(place, kind, *_card_of(place))
    card_path = place / CARD_NAME
    card = read_card(card_path) if card_path.is_file() else Card()
    model = _only_model(place, card)
    return FoundModel(model, _checked_kind(model), card, card_path if card_path.is_file() else None)


def read_card(path: Path) -> Card:
    """
    Read one `card.yaml`.

    Raises:
        ModelMismatch: Names the file, each wrong key and what is wrong with it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Card.model_validate(content)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, p['loc'])) or 'card'}: {p['msg']}"
            for p in error.errors(include_url=False)
        )
        what = f"its card is wrong: {'; '.join(problems)}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"its card cannot be read: {' '.join(str(error).split())}"
    raise mismatch(path, what, "Mend the card; docs/configuration.md lists its keys")


def effective(found: FoundModel, settings: ModelSettings) -> Spec:
    """
    Merge the card with a pipeline's settings, which win.

    Raises:
        ModelMismatch: Neither says how to feed the model or how to read its answer.
    """
    card, size = found.card, found.card.input
    merged: dict[str, Any] = {
        "height_pixels": settings.input_height_pixels or (size and size.height_pixels),
        "width_pixels": settings.input_width_pixels or (size and size.width_pixels),
        "preprocessing": settings.preprocessing or card.preprocessing,
        "labels": settings.labels or card.labels,
        "output": settings.output or card.output,
    }
    if card.outputs is not None:
        _refuse_both(found, settings)
        merged |= {"labels": (), "output": "softmax"}
    unsaid = {key for key, value in merged.items() if not value}
    unsaid -= {"labels"} if card.outputs is not None else set()
    missing = [_SETTING_OF.get(key, key) for key in merged if key in unsaid]
    if missing:
        what = f"neither its card nor the pipeline's file says: {', '.join(missing)}"
        remedy = f"Add them under model: in the pipeline's file, or in {CARD_NAME} beside the model"
        raise mismatch(found.path, what, remedy)
    _refuse_labels(found.path, merged["labels"])
    _refuse_tiles(found, merged["preprocessing"], merged["labels"])
    return Spec(
        **merged,
        unsure=card.unsure,
        threshold=settings.threshold,
        max_pixels=settings.max_pixels,
        max_image_bytes=int(settings.max_image_bytes),
        grey_bits=settings.grey_bits,
        pictures=settings.pictures,
        outputs=tuple((card.outputs or {}).items()),
        verdict=_verdict_of(found),
        signature=_signature_of(found),
    )


def _refuse_tiles(found: FoundModel, preprocessing: Preprocessing, labels: Sequence[str]) -> None:
    tiles = None if isinstance(preprocessing, str) else preprocessing.tiles
    if tiles is None:
        return
    if found.card.outputs is not None:
        what = "preprocessing.tiles makes one class of several, and its card states other outputs"
        raise mismatch(found.path, what, "Leave tiles out, or say labels: and output: instead")
    if tiles.background not in {None, *labels}:
        what = f"tiles.background is {tiles.background!r}, and no label: {', '.join(labels)}"
        raise mismatch(found.path, what, "Correct preprocessing.tiles.background")


def _refuse_both(found: FoundModel, settings: ModelSettings) -> None:
    card = found.card
    said = {
        "labels": settings.labels or card.labels,
        "output": settings.output or card.output,
        "unsure": card.unsure,
    }
    both = [key for key, value in said.items() if value]
    if both:
        what = f"its card states outputs, but it or the pipeline's file says {', '.join(both)}, too"
        raise mismatch(found.path, what, "Say labels, output and unsure within outputs only")


def _verdict_of(found: FoundModel) -> str:
    """Name the output that gives the label; nothing where there are none by name."""
    names = [*(found.card.outputs or {})]
    named = found.card.verdict
    if named is not None and named not in names:
        what = f"verdict: {named} in its card is none of its outputs: {', '.join(names) or 'none'}"
        raise mismatch(found.path, what, "Name one of outputs:, or leave verdict: out")
    return named or next(iter(names), "")


def _signature_of(found: FoundModel) -> str | None:
    if found.card.signature is not None and found.kind != "saved_model":
        what = f"its card names the signature {found.card.signature}, which a .keras file has not"
        raise mismatch(found.path, what, "Leave signature: out, or export a SavedModel")
    return found.card.signature


def _refuse_labels(path: Path, labels: Sequence[str]) -> None:
    odd = [label for label in labels if not LABEL.fullmatch(label)]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if odd:
        what = f"{odd[0]!r} is no label: 1 to 60 characters, none of them a control character"
        raise mismatch(path, what, "Correct labels")
    if doubled:
        what = f"labels name {', '.join(doubled)} twice"
        raise mismatch(path, what, "Give each output a label of its own")


def _kind(path: Path) -> Kind | None:
    if path.is_file() and path.suffix == KERAS_SUFFIX:
        return "keras"
    if (path / SAVED_MODEL_NAME).is_file():
        return "saved_model"
    return None


def _checked_kind(path: Path) -> Kind:
    kind = _kind(path)
    if kind is None:
        what = f"neither a {KERAS_SUFFIX} file nor a folder with {SAVED_MODEL_NAME}"
        remedy = "Save the model with model.save('model.keras') or model.export('folder')"
        raise mismatch(path, what, remedy)
    return kind


def _card_of(model: Path) -> tuple[Card, Path | None]:
    """Find the card of a model that was named directly: inside its folder, or beside it."""
    inside, beside = model / CARD_NAME, model.parent / CARD_NAME
    if inside.is_file():
        return read_card(inside), inside
    if beside.is_file():
        card = read_card(beside)
        if card.model in {None, model.name}:
            return card, beside
    return Card(), None


def _only_model(folder: Path, card: Card) -> Path:
    """Find the model in a folder: the one its card names, otherwise the only one there."""
    if card.model is not None or not folder.is_dir():
        return folder / (card.model or "")
    candidates = [path for path in sorted(folder.iterdir()) if _kind(path)]
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(path.name for path in candidates) or "none"
    what = f"the folder should hold one model ({KERAS_SUFFIX} file or SavedModel); found: {found}"
    raise mismatch(folder, what, f"Name the model in {CARD_NAME} (model: model.keras)")
