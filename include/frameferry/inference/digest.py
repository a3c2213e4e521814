"""
Digests of a model and of everything else that decides its verdicts. No TensorFlow needed.

Two judges with the same digest give the same verdicts. The digest covers the model's content, how
pictures are decoded and fed, the labels and the threshold. It does not cover where the model is, or
what its card tells people.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import FoundModel, Spec, effective, find_model, mismatch
from frameferry.inference.own.code import find_code, is_code_here
from frameferry.inference.own.identity import own_digest

DECODER: Final = 3
"""Raise by one when other inputs, or another reason, are made from the same bytes."""
READER: Final = 1
"""Raise by one when the same numbers of a model are read as another answer."""
_SAVED_MODEL_PARTS: Final = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables/**/*",
    "assets/**/*",
    "assets.extra/**/*",
)
_CHUNK_BYTES: Final = 1024 * 1024


def judge_digest(settings: ModelSettings) -> str:
    """
    Compute the digest that a judge loaded from these settings would have.

    Raises:
        ModelMismatch: There is no such model or class, its card is broken or pins another content.
    """
    if settings.judge is not None:
        return own_digest(find_code(settings.judge), settings)
    found = find_model(settings.name)
    spec = effective(found, settings)
    content = content_digest(found)
    refuse_other_content(found, content)
    return combined_digest(content, spec)


def is_here(settings: ModelSettings) -> bool:
    """Say whether the files of a judge are on this machine, so that they can be digested."""
    if settings.judge is not None:
        return is_code_here(settings.judge)
    return Path(settings.name).exists()


def combined_digest(content: str, spec: Spec) -> str:
    """Digest a model's content together with all else that decides a verdict."""
    stated = [(name, output.model_dump(mode="json")) for name, output in spec.outputs]
    whole = {
        "model": content,
        "spec": {**asdict(replace(spec, outputs=())), "outputs": stated},
        "decoder": DECODER,
        "reader": READER,
    }
    text = json.dumps(whole, sort_keys=True, default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()


def _as_json(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def content_digest(found: FoundModel, copy_to: Path | None = None) -> str:
    """
    Digest a model's files, and copy the very bytes that were digested.

    For a `.keras` file this is its sha256; for a SavedModel the sha256 over the lines
    `<sha256>  <path>` of its files, sorted by path, as `sha256sum` prints them.

    Args:
        found: The model; its card plays no part.
        copy_to: An empty folder for the copy, or None.

    Raises:
        ModelMismatch: A file went away or cannot be read.
    """
    try:
        digests = {
            name: _file_digest(path, copy_to / name if copy_to else None)
            for name, path in model_files(found).items()
        }
    except OSError as error:
        what = f"it cannot be read: {error}"
        raise mismatch(
            found.path, what, "Put the model back and let the service read it"
        ) from error
    if found.kind == "keras":
        return digests[found.path.name]
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def model_files(found: FoundModel) -> dict[str, Path]:
    """List the files a model is loaded from, by their names relative to its folder."""
    if found.kind == "keras":
        return {found.path.name: found.path}
    paths = (path for part in _SAVED_MODEL_PARTS for path in found.path.glob(part))
    return {path.relative_to(found.path).as_posix(): path for path in paths if path.is_file()}


def refuse_other_content(found: FoundModel, content: str) -> None:
    """
    Compare a model's content with the digest in its card, if the card states one.

    Raises:
        ModelMismatch: They differ.
    """
    pinned = found.card.digest
    if pinned is not None and pinned != content:
        what = f"the model file changed: its card pins digest {pinned}, the file has {content}"
        raise mismatch(found.path, what, "Put the right file back, or correct digest: in its card")


def _file_digest(path: Path, copy: Path | None) -> str:
    digest = hashlib.sha256()
    if copy is not None:
        copy.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, (copy or Path("/dev/null")).open("wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
