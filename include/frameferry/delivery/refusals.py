"""Why a server refused an upload or a rename: the record, its folder, or a file in the way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from posixpath import dirname
from typing import Literal

from frameferry.delivery.renaming import RenameGroup, Staged
from frameferry.domain.records import Refusal
from frameferry.errors import DeliveryRefused
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.measuring import is_gone, measure
from frameferry.ftp.probing import check_folder, rename, replaces_files
from frameferry.ftp.replies import Reply, raise_if_transient, raise_unless_record

Replace = Literal["rename", "delete_then_rename"]
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Tells refusals apart. `part_tag` names its probe files; `replace` is how files may be."""

    part_tag: str
    replace: Replace = "rename"

    def of(
        self,
        ftp: FerryFTP,
        record_id: int,
        path: str,
        reply: Reply,
        *,
        what: str,
        is_lasting: bool = False,
    ) -> Refusal:
        """
        Take a no as the record's own only if a probe file goes through its folder.

        With *is_lasting*, a no for now counts as well: this record got it at each of its tries.

        Raises:
            DeliveryRefused: It is the folder, or the job as a whole.
            FtpUnavailable: It was a no for now, or in the midst of a transfer.
        """
        if not is_lasting:
            raise_unless_record(what, reply)
        if not ftp.is_in_step:
            msg = f"{what} broke off: {reply.words!r}"
            raise ftp.unavailable(msg, "data")
        check_folder(ftp, dirname(path), self._probe_tag())
        return Refusal(record_id, f"{what} refused", reply.words)

    def settle_rename(
        self,
        ftp: FerryFTP,
        group: RenameGroup,
        item: Staged,
        reply: Reply,
        *,
        is_lasting: bool = False,
    ) -> None:
        """
        Say why a rename was refused: done already, a file in its place, record or folder.

        *is_lasting* as for `of`.

        Raises:
            DeliveryRefused: A file is in its place, and may not be deleted first.
            FtpUnavailable: As for `of`.
        """
        if is_gone(ftp, item.part_path):
            group.vanished(ftp, item)
            return
        if not is_lasting:
            raise_unless_record("rename", reply)
        if measure(ftp, item.remote_path) is not None and not self._replaces(ftp, item):
            self._make_way(ftp, group, item, reply)
            return
        refusal = self.of(
            ftp, item.record_id, item.remote_path, reply, what="rename", is_lasting=is_lasting
        )
        group.refuse(item, refusal)

    def _replaces(self, ftp: FerryFTP, item: Staged) -> bool:
        return replaces_files(ftp, dirname(item.remote_path), self._probe_tag())

    def _make_way(self, ftp: FerryFTP, group: RenameGroup, item: Staged, reply: Reply) -> None:
        """Delete the file in the way and rename: between the two, a reader finds none."""
        if self.replace == "rename":
            msg = f"the server lets no rename replace a file ({item.remote_path}): {reply.words!r}"
            remedy = (
                "Allow overwriting on the server (ProFTPD: AllowOverwrite on), or set "
                "deliver.replace to delete_then_rename: then a reader may find no file for a moment"
            )
            raise DeliveryRefused(msg, remedy=remedy)
        group.is_in_doubt = True
        raise_if_transient("delete", ftp.ask("DELE", item.remote_path))
        done = rename(ftp, item.part_path, item.remote_path)
        raise_if_transient("rename", done)
        group.is_in_doubt = False
        if done.is_success:
            group.done(item)
        else:
            group.refuse(item, self.of(ftp, item.record_id, item.remote_path, done, what="rename"))

    def _probe_tag(self) -> str:
        return f"{self.part_tag}-{next(_numbers)}"
