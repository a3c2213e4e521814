"""Files seen on the server, of records that the ledger forgot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    A file under a final name, by the position that its name says.

    `sha256` is None if the file was not read back.
    """

    partition: int
    offset: int
    remote_path: str
    size_bytes: int
    sha256: str | None = None
