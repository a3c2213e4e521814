"""Write a model's first card, which a person fills in."""

from __future__ import annotations

from pathlib import Path

from frameferry.errors import ConfigError
from frameferry.spark.route import draft_card

CARD_NAME = "card.yaml"


def write_draft(model: Path) -> Path:
    """
    Write `card.yaml` inside a SavedModel's folder, or beside a `.keras` file.

    Raises:
        ConfigError: There is one already, or it cannot be written.
        ModelMismatch: There is no such model, or TensorFlow cannot load it.
    """
    file = (model if model.is_dir() else model.parent) / CARD_NAME
    if file.exists():
        msg = f"{file} is there already, and is not replaced"
        raise ConfigError(msg, remedy="Move it away, or fill that one in")
    text = draft_card(str(model))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise ConfigError(msg, remedy="Copy the model to where you can write") from error
    return file
