"""What lists showed, on disk: a folder may hold millions, in any order, and memory stays flat."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from frameferry.ftp.listing import RemoteFile

_CHUNK: Final = 10_000
_PAGE_FILES: Final = 1_000
_SET_UP: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -65536;
    CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER, is_known INTEGER) WITHOUT ROWID;
    CREATE TABLE folder (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Inventory:
    """
    The files that lists showed, each once, with those that a row explains marked as known.

    It lives in a file of its own in *folder*, which whoever made the folder deletes: some 200 bytes
    a file.
    """

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "inventory.db", isolation_level=None)
        self._database.executescript(_SET_UP)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    def add(self, files: Iterable[RemoteFile]) -> int:
        """Note files, as a list showed them; return how many."""
        number, drawn = 0, iter(files)
        while chunk := [(one.path, one.size_bytes) for one in islice(drawn, _CHUNK)]:
            self._write("INSERT OR REPLACE INTO file VALUES (?, ?, 0)", chunk)
            number += len(chunk)
        return number

    def recognise(self, paths: Sequence[str]) -> dict[str, int]:
        """Mark files as known, and return the sizes of those that a list showed."""
        query = (
            "UPDATE file SET is_known = 1 WHERE path IN (SELECT value FROM json_each(?)) "
            "RETURNING path, size"
        )
        return dict(
            self._database.execute(query, (json.dumps(paths, ensure_ascii=False),)).fetchall()
        )

    def unknown(self) -> Iterator[list[RemoteFile]]:
        """Yield the files that nobody knows, by path, some at a time."""
        query = "SELECT path, size FROM file WHERE NOT is_known AND path > ? ORDER BY path LIMIT ?"
        last = ""
        while found := self._database.execute(query, (last, _PAGE_FILES)).fetchall():
            yield [RemoteFile(path, size) for path, size in found]
            last = found[-1][0]

    def want(self, folders: Iterable[str]) -> None:
        """Note folders that are to be listed."""
        self._write("INSERT OR IGNORE INTO folder VALUES (?)", [(one,) for one in folders])

    def wanted(self) -> Iterator[str]:
        """Yield each folder that is to be listed, once, by name."""
        query = "SELECT path FROM folder WHERE path > ? ORDER BY path LIMIT 1"
        last = ""
        while found := self._database.execute(query, (last,)).fetchone():
            (last,) = found
            yield last

    def _write(self, statement: str, values: Sequence[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, values)
        self._database.execute("COMMIT")
