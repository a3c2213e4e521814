"""Which Spark Connect session is ours: one id for all clients, so that loaded models stay warm."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import frameferry

_NAMESPACE = uuid.UUID("6f2b8a52-3c0e-5f1d-9a68-0d7c1f4b2e90")
_PACKAGE = Path(frameferry.__file__).parent
_WORKER_SOURCES = ("config", "domain", "errors.py", "inference", "kafka", "spark")
"""What warm workers have imported: a change to it needs new workers."""


def session_id(code: str, conf: Mapping[str, str], generation: int) -> str:
    """
    Derive the id of the session that all pipelines share on a server.

    Spark keeps Python workers only within one session, and with them TensorFlow and the loaded
    models. Workers also keep the code that they imported. So the id changes with our code (*code*,
    a digest), with the session's settings (*conf*), and with *generation*, which grows when a
    session was closed. It does not change with pipeline or model: a worker holds several models,
    but only one TensorFlow, which is most of its memory.
    """
    content = "\n".join((code, json.dumps(dict(conf), sort_keys=True), str(generation)))
    return str(uuid.uuid5(_NAMESPACE, content))


@cache
def code_version() -> str:
    """Digest the sources that the workers import."""
    digest = hashlib.sha256()
    for source in worker_sources():
        digest.update(str(source.relative_to(_PACKAGE)).encode() + b"\0")
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()


def worker_sources() -> Iterator[Path]:
    """Yield the files whose change needs new workers, always in the same order."""
    for name in _WORKER_SOURCES:
        place = _PACKAGE / name
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]
