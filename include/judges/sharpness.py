"""
Say whether a picture is sharp, by the variance of its Laplacian. OpenCV, no model.

In a pipeline's file: `model: {judge: judges.sharpness:Judge}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from frameferry.inference.own import Unjudged, Verdict

LEAST_VARIANCE: Final = 100.0
"""Of 8-bit grey. What is less is blurred; find the number for your own pictures."""


class Judge:
    """A `PictureJudge`."""

    def load(self) -> None:
        """Keep OpenCV to one thread: Spark runs a worker on each core."""
        cv2.setNumThreads(1)

    def judge(self, pictures: Sequence[bytes], /) -> list[Verdict | Unjudged]:
        """Judge each picture by itself."""
        return [self._verdict(picture) for picture in pictures]

    def control(self) -> list[tuple[bytes, str]]:
        """Draw a sharp picture and a blurred one, to tell a bad picture from a bad world."""
        squares = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((8, 8))) * 255
        sharp = squares.astype(np.uint8)
        blurred = cv2.GaussianBlur(sharp, (0, 0), 8)
        return [(_png(sharp), "sharp"), (_png(blurred), "blurred")]

    def _verdict(self, picture: bytes) -> Verdict | Unjudged:
        grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            return Unjudged("OpenCV cannot decode it")
        variance = float(cv2.Laplacian(grey, cv2.CV_64F).var())
        label = "sharp" if variance >= LEAST_VARIANCE else "blurred"
        return Verdict(label=label, value=round(variance, 3), outputs={"size": grey.shape[::-1]})


def _png(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])
