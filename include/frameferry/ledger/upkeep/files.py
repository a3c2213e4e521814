"""Files made beside the ledger: whole under their names, or an error says what they lack."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from frameferry.errors import ConfigError, LedgerUnavailable

PRIVATE: Final = 0o600


def give_name(draft: Path, file: Path) -> None:
    """
    Give a draft its name, in the same folder, once it is on the disk; never over another file.

    Raises:
        FileExistsError: The name is taken.
        OSError: Neither a link nor a rename can be made there.
    """
    _to_disk(draft)
    try:
        os.link(draft, file)
    except FileExistsError:
        raise
    except OSError:
        _rename(draft, file)
    _to_disk(file.parent)


@contextmanager
def told_of_file(what: str, remedy: str) -> Iterator[None]:
    """
    Say why a file of our own, SQLite's or not, cannot be written.

    Raises:
        ConfigError: *what*, the cause in the system's words, and *remedy*.
    """
    try:
        yield
    except OSError as error:
        msg = f"{what}: {error.strerror or error}"
        raise ConfigError(msg, remedy=remedy) from error
    except (sqlite3.OperationalError, LedgerUnavailable) as error:
        cause = error.__cause__ if isinstance(error, LedgerUnavailable) else error
        cause = getattr(cause, "orig", cause)
        if not isinstance(cause, sqlite3.Error):
            raise
        msg = f"{what}: {cause}"
        raise ConfigError(msg, remedy=remedy) from error


def _rename(draft: Path, file: Path) -> None:
    """Rename in a folder without hard links: take the name first, then its place."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    try:
        draft.replace(file)
    except OSError:
        file.unlink()
        raise


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
