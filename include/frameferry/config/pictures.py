"""Which pictures a pipeline takes, and how they are written."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Format = Literal["jpeg", "png", "bmp", "tiff", "webp", "gif", "jpeg2000", "jpegxl", "npy", "raw"]
Packing = Literal["gzip", "zstd"]
FORMATS: tuple[Format, ...] = get_args(Format)
USUAL_FORMATS: tuple[Format, ...] = ("jpeg", "png", "bmp", "tiff", "webp")
MAX_CHANNELS = 64


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawSettings(_Frozen):
    """What a frame is that says nothing of itself: rows from the top, channels side by side."""

    height_pixels: int = Field(ge=1, le=65535, description="Rows of a raw frame.")
    width_pixels: int = Field(ge=1, le=65535, description="Columns of a raw frame.")
    channels: int = Field(
        default=1, ge=1, le=MAX_CHANNELS, description="Numbers a pixel, one behind the other."
    )
    bits: int = Field(
        default=8,
        ge=8,
        le=16,
        description="Bits a number uses, from the lowest on; over 8 each takes two bytes.",
    )
    byte_order: Literal["little", "big"] = Field(
        default="little", description="Which of two bytes is first: the lower (`little`) or not."
    )


class PicturesSettings(_Frozen):
    """What a record may hold; everything else is quarantined as `format not allowed`."""

    formats: tuple[Format, ...] = Field(
        default=USUAL_FORMATS,
        min_length=1,
        description="What a record may hold: `jpeg`, `png`, `bmp`, `tiff`, `webp`, `gif`, "
        "`jpeg2000`, `jpegxl`, `npy`, `raw`; see [Pictures](#pictures).",
    )
    unpack: tuple[Packing, ...] = Field(
        default=(),
        description="What may be around a picture: `gzip`, `zstd`; it is unpacked for the model, "
        "and delivered as it is.",
    )
    page: int | None = Field(
        default=None,
        ge=0,
        le=9999,
        description="Which page of a TIFF is judged, from 0; unset, one of several pages is "
        "quarantined.",
    )
    orientation: Literal["honour", "ignore"] = Field(
        default="honour",
        description="Whether a picture is turned as its EXIF or its TIFF tag says, or left as it "
        "lies.",
    )
    raw: RawSettings | None = Field(
        default=None, description="Geometry of raw frames; only with `formats: [raw]`."
    )

    @model_validator(mode="after")
    def _raw_stands_alone(self) -> PicturesSettings:
        if ("raw" in self.formats) != (self.raw is not None):
            msg = "raw frames need both: raw in formats, and their geometry under raw"
            raise ValueError(msg)
        if self.raw is not None and len(self.formats) > 1:
            msg = "formats: raw stands alone, since any bytes may begin a raw frame"
            raise ValueError(msg)
        if len(set(self.formats)) < len(self.formats):
            msg = "formats names one twice"
            raise ValueError(msg)
        return self
