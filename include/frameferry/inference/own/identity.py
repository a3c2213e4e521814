"""What tells one judge of yours from another: its code, and the bounds that it is asked within."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from frameferry.config.settings import ModelSettings
from frameferry.inference.own.code import FoundCode, code_digest

READER: Final = 1
"""Raise by one when verdicts of the same code are bounded or read otherwise."""


def own_digest(found: FoundCode, settings: ModelSettings) -> str:
    """
    Digest the code together with all else of ours that decides its verdicts.

    Raises:
        ModelMismatch: A file went away or cannot be read.
    """
    whole = {
        "judge": f"{found.module}:{found.attribute}",
        "code": code_digest(found),
        "reader": READER,
        "max_pixels": settings.max_pixels,
        "max_image_bytes": int(settings.max_image_bytes),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
