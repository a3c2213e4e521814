"""What a card may state of each output. No NumPy: whoever checks a card pays for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,60}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Coordinates = Literal["xyxy", "yxyx", "xywh", "center_xywh", "rel_xyxy", "rel_yxyx", "rel_xywh"]
Form = Literal["tensorflow", "keras"]
Of = Literal["softmax", "logits", "sigmoid"]
Tensor = Annotated[str | None, Field(min_length=1, max_length=200)]


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _OfOneTensor(_Stated):
    tensor: Tensor = None


class _Labelled(_Stated):
    labels: tuple[Label, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _each_once(self) -> _Labelled:
        doubled = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if doubled:
            msg = f"labels name {', '.join(doubled)} twice"
            raise ValueError(msg)
        return self


class Classes(_OfOneTensor, _Labelled):
    """One of several labels."""

    kind: Literal["classes"]
    of: Of
    unsure: Label | None = None
    threshold: Share | None = None


class MultiLabel(_OfOneTensor, _Labelled):
    """Any number of labels at once."""

    kind: Literal["labels"]
    of: Literal["logits", "sigmoid"]
    otherwise: Label
    threshold: Share | None = None


class Number(_OfOneTensor):
    """A measure."""

    kind: Literal["number"]
    unit: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,20}$")] = ""
    lowest: float | None = None
    highest: float | None = None
    within: Label = "ok"
    below: Label = "low"
    above: Label = "high"

    @model_validator(mode="after")
    def _limits_in_order(self) -> Number:
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            msg = f"lowest ({self.lowest:g}) is above highest ({self.highest:g})"
            raise ValueError(msg)
        return self


class Anomaly(_OfOneTensor):
    """How odd a picture is; from `threshold` on it is an anomaly."""

    kind: Literal["anomaly"]
    of: Literal["score", "reconstruction"]
    threshold: float
    normal: Label = "normal"
    anomaly: Label = "anomaly"


class Embedding(_OfOneTensor):
    """A vector that stands for the picture."""

    kind: Literal["embedding"]
    numbers: Literal["float32", "float16"] = "float32"
    label: Label = "embedded"


class Boxes(_Labelled):
    """What a detector found."""

    kind: Literal["boxes"]
    form: Form
    otherwise: Label
    threshold: Share | None = None
    rule: Literal["highest", "first"] = "highest"
    first_class: Annotated[int, Field(ge=0)] | None = None
    coordinates: Coordinates | None = None


class Mask(_OfOneTensor, _Labelled):
    """A class for each pixel; the first label is the background's."""

    kind: Literal["mask"]
    of: Literal["softmax", "logits", "sigmoid", "classes"]
    labels: tuple[Label, ...] = Field(min_length=2, max_length=256)
    least_area: Share = 0.0
    png: bool = True


Stated = Annotated[
    Classes | MultiLabel | Number | Anomaly | Embedding | Boxes | Mask, Field(discriminator="kind")
]
