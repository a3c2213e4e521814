"""A picture that cannot be judged, and the reasons there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Why a picture could not be judged, as `frameferry quarantine` shows it."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member that carries its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    EMPTY = "empty", "The record's value holds no bytes."
    TOO_LARGE = "too large", "More bytes than `model.max_image_bytes`; it was not decoded."
    NOT_AN_IMAGE = "not an image", "The first bytes are those of no image format."
    FORMAT_NOT_ALLOWED = (
        "format not allowed",
        "An image, but of no format in `model.pictures.formats`.",
    )
    TOO_MANY_PIXELS = (
        "too many pixels",
        "Its header announces more pixels than `model.max_pixels`; it was not decoded.",
    )
    TRUNCATED = "truncated", "It ends before the picture is whole."
    DAMAGED = "damaged", "Its header or its pixels cannot be decoded."
    ANIMATED = "animated", "Several frames or pages: no single picture to judge."
    UNFIT = (
        "does not fit",
        "It is whole, but has no such page, region or channels as the pipeline asks for.",
    )
    NO_ANSWER = (
        "no answer",
        "The model's numbers are none of its card's kind, or a class of yours said no.",
    )


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A bad picture as a value: one of the reasons, and one short line that says more."""

    reason: Reason
    detail: str


class BadPictureError(Exception):
    """Carries the reason out of the decoder."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.why = Undecodable(reason, detail)
