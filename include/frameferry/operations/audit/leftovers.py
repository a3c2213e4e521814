"""Tell whose the files are that no standing row explains: extras, parts, and strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename

from frameferry.delivery.parts import SIDECAR_SUFFIX, is_part, part_tag_of
from frameferry.delivery.sweeping import FoundPart
from frameferry.domain.audit import Kind, Span, place
from frameferry.domain.positions import PositionReader
from frameferry.ftp.listing import RemoteFile
from frameferry.operations.audit.collecting import Collector
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.sweeping import reasons_to_stay


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a pipeline gives: by which record, or whether, a file is ours."""

    base: str
    readers: dict[int, PositionReader]

    def position(self, path: str) -> tuple[int, int, int] | None:
        """Read (generation, partition, offset) of a picture's path, or of its sidecar's."""
        name = path.removeprefix(self.base).lstrip("/")
        for generation, reader in self.readers.items():
            for one in (name, name.removesuffix(SIDECAR_SUFFIX)):
                if (found := reader.read(one)) is not None:
                    return generation, *found
        return None


def names_of(ctx: Context, generation: int) -> Names:
    """Make what reads a pipeline's names; of a template that does not tell, it reads none."""
    deliver = ctx.settings.deliver
    readers = {}
    for number in range(1, generation + 1):
        try:
            readers[number] = PositionReader(deliver.name, pipeline=ctx.pipeline, generation=number)
        except ValueError:
            break
    return Names(deliver.base, readers)


class Leftovers:
    """
    Sorts files that no standing row explains, by whose they are.

    The ledger is asked again for each, after it was listed: a name is held before its file appears,
    so that what was delivered meanwhile is no extra.
    """

    def __init__(
        self,
        ctx: Context,
        names: Names,
        gaps: Mapping[Span, Sequence[tuple[int, int, bool]]],
        found: Collector,
    ) -> None:
        self._ctx = ctx
        self._names = names
        self._gaps = {(span.generation, span.partition): lost for span, lost in gaps.items()}
        self._found = found

    def meet(self, files: Sequence[RemoteFile]) -> None:
        """Sort some files."""
        bare = {one.path: one.path.removesuffix(SIDECAR_SUFFIX) for one in files}
        known = self._ctx.ledger.known_paths(
            destination=self._ctx.ftp.destination, paths={*bare, *bare.values()}
        )
        explained = known.held | known.pruned
        left = [one for one in files if not {one.path, bare[one.path]} & explained]
        parts = [one.path for one in left if _is_on_its_way(one.path)]
        self._sort_parts(parts)
        for one in left:
            if not _is_on_its_way(one.path):
                self._sort_file(one)

    def _sort_parts(self, paths: Sequence[str]) -> None:
        tags = {path: part_tag_of(basename(path)) for path in paths}
        ours = [FoundPart(path, tag) for path, tag in tags.items() if tag is not None]
        reasons = reasons_to_stay(self._ctx, ours) if ours else {}
        for path in paths:
            if tags[path] is None:
                self._found.add(Kind.part, path=path, detail="nobody knows whose it is")
            elif path in reasons:
                self._found.add(Kind.part, path=path, detail=reasons[path])
            else:
                self._found.add(Kind.orphan, path=path)

    def _sort_file(self, file: RemoteFile) -> None:
        position = self._names.position(file.path)
        if position is None and self._names.readers:
            self._found.add(Kind.stranger, path=file.path)
            return
        if position is not None and self._is_lost(*position):
            return
        where = None if position is None else place(*position)
        self._found.add(
            Kind.extra, path=file.path, place=where, detail=f"{file.size_bytes:,} bytes"
        )

    def _is_lost(self, generation: int, partition: int, offset: int) -> bool:
        """Say whether a record is in a gap: a recovery leaves its file where it lies."""
        lost = self._gaps.get((generation, partition), ())
        return any(start <= offset < end for start, end, _ in lost)


def _is_on_its_way(path: str) -> bool:
    return is_part(path) or part_tag_of(basename(path)) is not None
