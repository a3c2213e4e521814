"""
Keep the bytes of pictures in quarantine, in files of our own, before Kafka forgets them.

A copy lies in the home, named after generation, partition and offset. It is whole, or not there.
Nothing here fails a delivery: what cannot be kept now is tried again by the next one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import time
from typing import Final

import structlog

from frameferry.config.home import kept_copies_folder
from frameferry.domain.keeping import Place, SetAside, place_of
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import ImageRecord, sha256_hex
from frameferry.errors import FrameferryError, OffsetsLost
from frameferry.ledger.store import Ledger
from frameferry.pipeline.context import Context

MOST_READS: Final = 64
"""How many pictures one delivery reads from Kafka for this alone; the next one goes on."""
_DRAFT: Final = ".draft-"
_DRAFT_SECONDS: Final = 86_400.0
"""A draft that is older has lost its writer."""

log = structlog.get_logger()


@dataclass(slots=True)
class Keeper:
    """
    One delivery's care for kept copies: those that `quarantine.keep_bytes` has room for.

    `look` first, `offer` each record as it passes by, and `finish` once the batch is counted.
    """

    ctx: Context
    missing: dict[Place, SetAside] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the copies lie."""
        return kept_copies_folder(self.ctx.pipeline)

    def look(self) -> None:
        """Find out which pictures should be kept and are not."""
        if limit := self.ctx.settings.quarantine.keep_bytes:
            with _forgiven(self.ctx):
                wanted = self.ctx.ledger.to_keep(self.ctx.pipeline, limit)
                self.missing = {one.place: one for one in wanted if one.kept_copy is None}

    def offer(self, record: ImageRecord, generation: int) -> None:
        """Keep a record that was read anyway, if it should be; the first trouble ends that."""
        if not self.missing:
            return
        one = self.missing.get(Place(generation, record.partition, record.offset))
        if one is None:
            return
        with _forgiven(self.ctx):
            _keep(self.folder, one, record.value)
            return
        self.missing = {}

    def finish(self) -> None:
        """Write down what is kept, read what is still missing, and let go what has no room."""
        if not self.ctx.settings.quarantine.keep_bytes:
            return
        with _forgiven(self.ctx):
            wanted = self.ctx.ledger.to_keep(
                self.ctx.pipeline, self.ctx.settings.quarantine.keep_bytes
            )
            self._let_go(wanted)
            self._note([one for one in wanted if one.kept_copy is None and _is_kept(self, one)])
            missing = [one for one in wanted if not (self.folder / one.place.file_name).exists()]
            self._note(list(self._read(missing)))

    def _let_go(self, wanted: Sequence[SetAside]) -> None:
        """Delete the copies that have no room any more, the oldest first, and those of no use."""
        room = self.ctx.settings.quarantine.keep_bytes - sum(one.size_bytes for one in wanted)
        others = _others(self.folder, {one.place for one in wanted})
        used = self.ctx.ledger.still_set_aside(self.ctx.pipeline, others)
        staying = set()
        for one in sorted(used, key=lambda each: -each.record_id):
            room -= one.size_bytes
            if room >= 0:
                staying.add(one.place)
        if going := {one.record_id: None for one in used if one.place not in staying}:
            self.ctx.ledger.note_kept(going)
        _delete(self.folder, [place for place in others if place not in staying])

    def _read(self, missing: Sequence[SetAside]) -> Iterator[SetAside]:
        """Read from Kafka what did not pass by, and keep it; what Kafka forgot is passed over."""
        if not missing:
            return
        with self.ctx.cluster() as cluster:
            partitions = tuple(sorted({one.place.partition for one in missing}))
            marks = cluster.view(self.ctx.settings.kafka.topic, partitions).watermarks
        held = [one for one in missing if one.place.offset >= marks[one.place.partition].low]
        for one in held[:MOST_READS]:
            place = one.place
            with suppress(OffsetsLost):
                wanted = OffsetRange(place.partition, place.offset, place.offset + 1)
                for record in self.ctx.reader(wanted):
                    if _keep(self.folder, one, record.value):
                        yield one

    def _note(self, kept: Sequence[SetAside]) -> None:
        if kept:
            self.ctx.ledger.note_kept({one.record_id: one.place.file_name for one in kept})


def sweep_copies(ledger: Ledger, pipeline: str) -> int:
    """Delete the kept copies of records that are in quarantine no more; says how many."""
    folder = kept_copies_folder(pipeline)
    there = _others(folder, set())
    used = {one.place for one in ledger.still_set_aside(pipeline, there)}
    gone = [place for place in there if place not in used]
    _delete(folder, gone)
    return len(gone)


def read_copy(pipeline: str, one: SetAside) -> bytes | None:
    """Read a kept copy; None if there is none here, or it is not what was judged."""
    try:
        value = (kept_copies_folder(pipeline) / one.place.file_name).read_bytes()
    except OSError:
        return None
    return value if sha256_hex(value) == one.sha256 else None


@contextmanager
def _forgiven(ctx: Context) -> Iterator[None]:
    """Log what goes wrong; `status` counts what is not kept."""
    try:
        yield
    except (OSError, FrameferryError) as error:
        log.warning("quarantine.not_kept", pipeline=ctx.pipeline, error=str(error))


def _is_kept(keeper: Keeper, one: SetAside) -> bool:
    return read_copy(keeper.ctx.pipeline, one) is not None


def _keep(folder: Path, one: SetAside, value: bytes) -> bool:
    """Write a copy whole, or not at all; says whether the bytes are those that were judged."""
    if sha256_hex(value) != one.sha256:
        log.warning("quarantine.other_bytes", place=str(one.place))
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Its mode is 0600.
    with NamedTemporaryFile(dir=folder, prefix=_DRAFT, delete=False) as draft:
        try:
            draft.write(value)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(folder / one.place.file_name)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return True


def _others(folder: Path, wanted: set[Place]) -> list[Place]:
    """List the copies that are there beside the wanted ones."""
    if not folder.is_dir():
        return []
    places = (place_of(file.name) for file in folder.iterdir())
    return sorted(place for place in places if place is not None and place not in wanted)


def _delete(folder: Path, places: Sequence[Place]) -> None:
    """Delete copies, and drafts that were left; another process may have done so already."""
    for place in places:
        (folder / place.file_name).unlink(missing_ok=True)
    for draft in folder.glob(f"{_DRAFT}*"):
        with suppress(FileNotFoundError):
            if time() - draft.stat().st_mtime > _DRAFT_SECONDS:
                draft.unlink()
