"""What is done to a picture before the model sees it, in the order in which it is done."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Word = Literal["unit", "signed", "raw"]
Application = Literal[
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
]
APPLICATIONS: Final[tuple[Application, ...]] = get_args(Application)
_MAX_CHANNEL: Final = 63
Share = Annotated[float, Field(ge=0, le=65535)]
Length = Annotated[float, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RegionSettings(_Frozen):
    """The part of the picture that counts, after it was turned."""

    unit: Literal["pixels", "share"] = Field(
        default="pixels", description="What the four numbers are: `pixels`, or a `share`, 0 to 1."
    )
    left: Share = Field(default=0, description="Left edge of the region.")
    top: Share = Field(default=0, description="Upper edge of the region.")
    width: Length = Field(description="Its width; one that passes the picture quarantines it.")
    height: Length = Field(description="Its height; the same.")

    @model_validator(mode="after")
    def _inside(self) -> RegionSettings:
        numbers = (self.left, self.top, self.width, self.height)
        if self.unit == "pixels" and any(number != int(number) for number in numbers):
            msg = "region: pixels are whole numbers; for parts of the picture say unit: share"
            raise ValueError(msg)
        if self.unit == "share" and max(self.left + self.width, self.top + self.height) > 1:
            msg = "region: left + width and top + height are at most 1 where unit is share"
            raise ValueError(msg)
        return self


class TilesSettings(_Frozen):
    """Cut the region into overlapping tiles, each judged by itself."""

    height_pixels: int = Field(ge=8, le=65535, description="Height of a tile in the picture.")
    width_pixels: int = Field(ge=8, le=65535, description="Width of a tile in the picture.")
    overlap_pixels: int = Field(
        default=0, ge=0, le=65535, description="How far neighbouring tiles overlap, at least."
    )
    verdict: Literal["max", "mean", "any"] = Field(
        default="max",
        description="The picture's verdict: of the tile with the highest output beside "
        "`background` (`max`), of the mean of all outputs (`mean`), of the surest tile that says "
        "something else than `background` if there is one (`any`).",
    )
    background: str | None = Field(
        default=None, description="The label of a tile that shows nothing; not for `mean`."
    )

    @model_validator(mode="after")
    def _moves_on(self) -> TilesSettings:
        if self.overlap_pixels >= min(self.height_pixels, self.width_pixels):
            msg = "tiles.overlap_pixels must be less than a tile's height and width"
            raise ValueError(msg)
        if (self.background is None) != (self.verdict == "mean"):
            msg = "tiles.background is the label that max and any look past; mean has none"
            raise ValueError(msg)
        return self


class PreprocessingSettings(_Frozen):
    """From a whole picture at full depth to the model's input."""

    region: RegionSettings | None = Field(
        default=None, description="First, cut out this part; unset: the whole picture."
    )
    channels: Literal["rgb", "bgr", "grey"] | tuple[int, ...] = Field(
        default="rgb",
        description="Then take colours, or a list of channels as they are stored, from 0. Grey "
        "pictures give the same value to all colours; alpha is left out, unless it is listed.",
    )
    tiles: TilesSettings | None = Field(
        default=None, description="Then cut tiles, each of which becomes an input."
    )
    fit: Literal["stretch", "letterbox", "crop"] = Field(
        default="stretch",
        description="Then bring it to the model's size: `stretch`, `letterbox` (whole, with bars "
        "of `fill`), or `crop` (the largest centred part of that shape).",
    )
    fill: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        default=(0,),
        min_length=1,
        description="Colour of the bars, 0 to 255; one, or one a channel.",
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = Field(
        default="bilinear", description="How that is computed."
    )
    antialias: bool = Field(
        default=True,
        description="Whether shrinking looks at all pixels; `false` is what Keras does unless told "
        "otherwise, for `bilinear` only.",
    )
    scale: Word | Literal["standardise"] | Application = Field(
        default="unit",
        description="Then scale: 0 to 1 (`unit`), -1 to 1 (`signed`), 0 to 255 (`raw`), mean 0 and "
        "deviation 1 of each input (`standardise`), or as the `preprocess_input` of a Keras "
        "application of that name.",
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="Then subtract this; one, or one a channel, in units of `scale`."
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        default=None, description="Then divide by this; one, or one a channel."
    )
    dtype: Literal["float32", "float16", "uint8"] = Field(
        default="float32", description="Last, the type of the numbers; `uint8` with `raw` only."
    )
    order: Literal["channels_last", "channels_first"] = Field(
        default="channels_last", description="And the order: height, width, channels, or as told."
    )

    @property
    def channel_count(self) -> int:
        """Say how many channels the model's input has."""
        named = {"rgb": 3, "bgr": 3, "grey": 1}
        return named[self.channels] if isinstance(self.channels, str) else len(self.channels)

    @model_validator(mode="after")
    def _fits_together(self) -> PreprocessingSettings:
        if problem := _problem(self):
            raise ValueError(problem)
        return self


def _problem(settings: PreprocessingSettings) -> str | None:
    count = settings.channel_count
    listed = settings.channels if isinstance(settings.channels, tuple) else ()
    if not count or any(not 0 <= number <= _MAX_CHANNEL for number in listed):
        return f"channels: list at least one, from 0 to {_MAX_CHANNEL}"
    for name in ("fill", "mean", "std"):
        values = getattr(settings, name)
        if values is not None and len(values) not in {1, count}:
            return f"{name} has {len(values)} numbers; expected one, or one a channel ({count})"
    if settings.interpolation != "bilinear" and not settings.antialias:
        return "antialias: false goes with interpolation: bilinear only"
    if settings.scale in APPLICATIONS and (settings.channels != "rgb" or settings.mean):
        return f"scale: {settings.scale} goes with channels: rgb, and without mean and std"
    if settings.dtype == "uint8" and (settings.scale != "raw" or settings.mean or settings.std):
        return "dtype: uint8 goes with scale: raw, and without mean and std"
    return None


def _kind(value: Any) -> str:  # noqa: ANN401 - whatever the file says
    return "word" if isinstance(value, str) else "steps"


Preprocessing = Annotated[
    Annotated[Word, Tag("word")] | Annotated[PreprocessingSettings, Tag("steps")],
    Discriminator(_kind),
]
