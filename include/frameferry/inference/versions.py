"""A model's versions: numbered folders, of which the highest counts; found again at each batch."""

from __future__ import annotations

from pathlib import Path

from frameferry.config.settings import ModelSettings

_MODEL_FILES = ("card.yaml", "saved_model.pb")


def newest(place: Path) -> Path:
    """
    Choose the highest numbered folder of those that hold nothing but versions.

    A folder with a model or a card of its own is no such folder, nor is a file: each is returned as
    it is. Whether the version is whole is not looked at: an older one never takes its place.
    """
    if not place.is_dir() or any((place / name).exists() for name in _MODEL_FILES):
        return place
    if any(place.glob("*.keras")):
        return place
    numbered = [path for path in place.iterdir() if path.name.isdecimal() and path.is_dir()]
    return max(numbered, key=lambda path: int(path.name), default=place)


def at_newest(model: ModelSettings) -> ModelSettings:
    """
    Name a model by the version that counts now, with an absolute path if it is on this machine.

    Whoever judges a batch calls it once: a version that comes meanwhile counts for the next batch.
    """
    place = Path(model.path or "")
    if model.path is None or "://" in model.path or not place.exists():
        return model
    return model.model_copy(update={"path": str(newest(place.resolve()))})
