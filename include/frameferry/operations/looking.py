"""Look at what lies on the server, and tell whose it is, for a ledger that forgot it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from posixpath import basename

from frameferry.delivery.parts import SIDECAR_SUFFIX, is_part, part_tag_of, sidecar_part
from frameferry.delivery.sweeping import delete_parts
from frameferry.domain.offsets import Watermarks
from frameferry.domain.positions import PositionReader
from frameferry.domain.sightings import Sighting
from frameferry.domain.state import PipelineState
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.listing import Flaw, RemoteFile, list_tree, read_sha256
from frameferry.pipeline.context import Context


@dataclass(slots=True)
class Found:
    """
    What lies on the server, sorted by whose it is.

    `seen` are files of records beyond the committed offset; `strange` are files that belong to no
    record. `unlisted` are folders that may hold more, with the reason. `looked_to` is an offset per
    partition: below it there may be a file that no list shows.
    """

    seen: list[Sighting] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)
    looked_to: dict[int, int] = field(default_factory=dict)
    files: int = 0


def look(
    ctx: Context,
    ftp: FerryFTP,
    known: PipelineState,
    marks: Mapping[int, Watermarks],
    reader: PositionReader,
) -> Found:
    """
    List the base, and recognise each record's file by its name.

    If no list shows a file, deliver looks for it by its name.

    Raises:
        FtpUnavailable, DeliveryRefused: The base cannot be listed.
    """
    base = ctx.settings.deliver.base
    found = Found(looked_to={partition: mark.high for partition, mark in marks.items()})

    def note(folder: str, flaw: Flaw) -> None:
        found.unlisted.append((folder, flaw.words))

    for file in list_tree(ftp, base, on_flaw=note):
        if not _is_sidecar(ctx, file, reader):
            _sort(file, base, known, marks, reader, found)
    return found


def clear(ctx: Context, ftp: FerryFTP, parts: Collection[str], lost: Collection[str]) -> bool:
    """
    Delete the parts of lost lives, by their epochs, so that none can become a file.

    A process of such a life may be past its intent, which nobody knows of now, but not yet
    renaming.

    Returns:
        Whether each was still there. Otherwise one became a file meanwhile: look again.
    """
    tags = {path: part_tag_of(basename(path)) for path in parts}
    theirs = {
        path: tag.batch_id
        for path, tag in tags.items()
        if tag is not None and any(epoch.startswith(tag.epoch) for epoch in lost)
    }
    intended = ctx.ledger.part_fates(
        ctx.pipeline, set(theirs.values()), destination=ctx.ftp.destination, paths=[]
    ).open_parts
    # An intent that this ledger knows of is settled by its part: that one stays.
    kept = intended | {sidecar_part(path) for path in intended}
    return not delete_parts(ftp, sorted(theirs.keys() - kept))


def verified(ftp: FerryFTP, seen: Collection[Sighting]) -> Iterator[Sighting]:
    """Read each file back, and note its sha256; one that is gone meanwhile is left out."""
    for one in seen:
        digest = read_sha256(ftp, one.remote_path)
        if digest is not None:
            yield replace(one, sha256=digest)


def _is_sidecar(ctx: Context, file: RemoteFile, reader: PositionReader) -> bool:
    """Say whether a file goes with a picture, and so says nothing of its own."""
    if ctx.settings.deliver.sidecar == "none" or not file.path.endswith(SIDECAR_SUFFIX):
        return False
    picture = file.path.removesuffix(SIDECAR_SUFFIX).removeprefix(ctx.settings.deliver.base)
    return reader.read(picture.lstrip("/")) is not None


def _sort(
    file: RemoteFile,
    base: str,
    known: PipelineState,
    marks: Mapping[int, Watermarks],
    reader: PositionReader,
    found: Found,
) -> None:
    if is_part(file.path):
        found.parts.append(file.path)
        return
    found.files += 1
    position = reader.read(file.path.removeprefix(base).lstrip("/"))
    if position is None or position[0] not in known.progress or position[0] not in marks:
        found.strange.append(file.path)
        return
    partition, offset = position
    if offset >= marks[partition].high:
        found.strange.append(file.path)
    elif offset >= known.progress[partition].committed:
        found.seen.append(Sighting(partition, offset, file.path, file.size_bytes))
