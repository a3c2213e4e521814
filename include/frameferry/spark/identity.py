"""Which Spark Connect session is ours: one id for all clients, so that loaded models stay warm."""

from __future__ import annotations

import hashlib
import uuid
from functools import cache
from pathlib import Path

import frameferry

_NAMESPACE = uuid.UUID("6f2b8a52-3c0e-5f1d-9a68-0d7c1f4b2e90")
_WORKER_PACKAGES = ("config", "domain", "inference", "spark")
"""The packages that warm workers have imported: a change in one must give new workers."""


def session_id(pipeline: str, judge: str, code: str, generation: int) -> str:
    """
    Derive the id of the session that every client of this pipeline and model shares.

    Spark keeps Python workers, and so a loaded model, only within one session; workers also keep
    the code that they imported. So the id changes with the model (*judge*, a digest), with our
    code (*code*, a digest), and with *generation*, which moves on when a session was closed.
    """
    return str(uuid.uuid5(_NAMESPACE, "\n".join((pipeline, judge, code, str(generation)))))


@cache
def code_version() -> str:
    """Digest the sources that the workers import."""
    package = Path(frameferry.__file__).parent
    digest = hashlib.sha256()
    for name in _WORKER_PACKAGES:
        for source in sorted((package / name).rglob("*.py")):
            digest.update(str(source.relative_to(package)).encode() + b"\0")
            digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()
