"""Where state and configuration live: two environment variables, nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

_UP_TO_HOST = re.compile(r"^([\w+.-]+://[^:@/]*):.*@", re.DOTALL)
_SECRET_VALUE = re.compile(r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def home() -> Path:
    """Return the state folder: `FRAMEFERRY_HOME`, default `.frameferry` in the working folder."""
    return Path(os.environ.get("FRAMEFERRY_HOME") or ".frameferry").absolute()


def pipelines_folder() -> Path:
    """Return the folder of pipeline files: `FRAMEFERRY_PIPELINES`, default `include/pipelines`."""
    return Path(os.environ.get("FRAMEFERRY_PIPELINES") or "include/pipelines").absolute()


def kept_copies_folder(pipeline: str) -> Path:
    """Return the folder of a pipeline's kept copies, which lies in the home."""
    return home() / "quarantine" / pipeline


def ledger_url() -> str:
    """
    Return the ledger's SQLAlchemy URL: `FRAMEFERRY_LEDGER_URL`, default SQLite in the home.

    It may hold a password: show it through `masked_url` only.
    """
    return os.environ.get("FRAMEFERRY_LEDGER_URL") or f"sqlite:///{home() / 'ledger.db'}"


def masked_url(url: str) -> str:
    """Hide what may be secret in a database's URL, also in one that nobody can read."""
    return _SECRET_VALUE.sub(r"\1***", _UP_TO_HOST.sub(r"\1:***@", url))
