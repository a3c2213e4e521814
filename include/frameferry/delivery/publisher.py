"""Two-phase publishing: whole, verified parts first, then all renames in a burst."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from posixpath import dirname
from types import TracebackType
from typing import Self, TypeVar

from frameferry.delivery.caution import Caution
from frameferry.delivery.parts import (
    PartStyle,
    has_sidecar,
    part_path,
    sidecar_part,
    sidecar_path,
)
from frameferry.delivery.pool import Pool
from frameferry.delivery.refusals import Refusals, Replace
from frameferry.delivery.renaming import After, RenameGroup, Resend, Staged, outcome_of
from frameferry.delivery.rounds import RetryPolicy
from frameferry.delivery.sidecars import outcome_of_pair, sidecar_consignment
from frameferry.delivery.sweeping import delete_parts
from frameferry.domain.records import Consignment, Intent, Receipt, Refusal
from frameferry.errors import (
    FrameferryError,
    FtpUnavailable,
    RecordChanged,
    UnsafePath,
)
from frameferry.ftp.addresses import Addresses
from frameferry.ftp.client import FerryFTP, Learnt
from frameferry.ftp.folders import Folders, StandingFolders
from frameferry.ftp.measuring import Measured, questions, understand
from frameferry.ftp.paths import check_path
from frameferry.ftp.replies import Reply

__all__ = ["After", "PublishResult", "Publisher", "Settlement", "StageResult", "Staged"]

ThingT = TypeVar("ThingT")

BURST_FILES = 100
"""Renames in one burst, at most; 500 were fine on four servers."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class StageResult:
    """Every item of a call is in exactly one of the lists."""

    staged: list[Staged]
    refused: list[Refusal]


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Every staged file of a call is in exactly one of the lists."""

    receipts: list[Receipt]
    refused: list[Refusal]


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    What became of open intents: delivered, to be sent again, or refused by the server.

    `leftovers` are damaged parts of records to be sent again: `discard_parts` may delete them
    once the ledger has withdrawn their intents.
    """

    receipts: list[Receipt]
    resend: list[int]
    refused: list[Refusal] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


class Publisher:
    """
    Deliver groups of files over a pool of connections. Use it as a context manager.

    Args:
        open_connection: Opens one connection and logs in; called once per connection.
        base: The folder that no path leaves.
        connections: At most so many at once; fewer if the server says so.
        part_tag: Names this attempt's parts; its own per attempt (`Batch.part_tag`).
        part_style: How parts are named.
        folders: Makes folders, or insists that they stand.
        after: What becomes of files: they are kept, or a consumer takes them at once.
        replace: What to do if a rename may not replace a file: refuse, or delete it first.
        retry: How transient trouble is met; None for the standard.
        addresses: What data addresses led to here before; learns on.
    """

    def __init__(
        self,
        open_connection: Callable[[], FerryFTP],
        *,
        base: str,
        connections: int,
        part_tag: str,
        part_style: PartStyle = "dot",
        folders: Folders | StandingFolders | None = None,
        after: After = "kept",
        replace: Replace = "rename",
        retry: RetryPolicy | None = None,
        addresses: Addresses | None = None,
    ) -> None:
        addresses = addresses or Addresses()
        self._base = base
        self._after: After = after
        self._part_tag = part_tag
        self._part_style = part_style
        self._refusals = Refusals(part_tag, replace)
        self._folders = folders or Folders()
        self._litter: set[str] = set()
        self._caution = Caution()
        retry = retry or RetryPolicy()
        self._tries = retry.tries
        self._local_errors: Counter[tuple[str, int]] = Counter()
        learnt = Learnt()

        def open_confined() -> FerryFTP:
            ftp = open_connection()
            ftp.confine(base)
            ftp.learnt = learnt
            ftp.addresses = addresses
            return ftp

        self._pool = Pool(open_confined, connections=connections, retry=retry)

    def __enter__(self) -> Self:
        """
        Log in on one connection; the others follow when there is work for them.

        Raises:
            FtpUnavailable: Nothing answers, or not now.
            LoginRefused: User or password are wrong; tried once.
            DeliveryRefused: Certificate or TLS settings do not fit.
        """
        self._pool.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard_parts(sorted(self._litter))
        self._pool.close()

    @property
    def connections(self) -> int:
        """How many connections the server takes, as far as it has been tried."""
        return self._pool.limit

    def stage(self, items: Iterable[tuple[Consignment, bytes]]) -> StageResult:
        """
        Upload every item to a part beside its final name, its sidecar too, and verify them there.

        Items are drawn while others are uploaded, by any thread; `operator.length_hint` tells how
        many to expect. Only those on their way are held of a stream, as `rounds.HELD_BYTES` says.

        Raises:
            Exception: Whatever the items raise; what was uploaded is deleted at the end.
            FtpUnavailable: An item used up its tries. What was uploaded is deleted at the end.
            DeliveryRefused: The server refuses the job, or the folder.
            RecordChanged: An item's bytes are not as long as its consignment says.
        """
        outcomes = self._pool.each(self._stage_one, items, weigh=lambda item: len(item[1]))
        staged = [outcome for outcome in outcomes if isinstance(outcome, Staged)]
        self._litter.difference_update(part for item in staged for part in item.parts)
        return StageResult(staged, [one for one in outcomes if isinstance(one, Refusal)])

    def publish(self, staged: Sequence[Staged]) -> PublishResult:
        """
        Rename parts onto their final names; only under intents that the ledger has accepted.

        Sidecars are renamed first: whoever sees a picture finds its sidecar. A receipt is the
        picture's, and stands for both.

        A rename whose reply was lost is settled by its part: gone means renamed, if its file is
        there or a consumer may have taken it. Parts of refused records stay until `discard`, since
        an intent names them.

        Raises:
            FtpUnavailable: A group used up its tries; the next attempt settles its intents.
            DeliveryRefused: Renames do not replace files here, do nothing, or are forbidden.
        """
        first = self._renamed([item.sidecar for item in staged if item.sidecar is not None])
        without = {refusal.record_id for refusal in first.refused}
        then = self._renamed([item for item in staged if item.record_id not in without])
        lonely = {refusal.record_id for refusal in then.refused}
        sidecars = [item.sidecar for item in staged if item.record_id in lonely]
        self._take_back([sidecar.remote_path for sidecar in sidecars if sidecar is not None])
        return PublishResult(then.receipts, first.refused + then.refused)

    def _take_back(self, sidecars: Sequence[str]) -> None:
        """Delete renamed sidecars of pictures that the server refused: nobody else would."""
        if sidecars:
            with suppress(FrameferryError), self.lent() as ftp:
                list(ftp.burst([f"DELE {path}" for path in sidecars]))

    def _renamed(self, staged: Sequence[Staged]) -> PublishResult:
        size = min(BURST_FILES, max(1, -(-len(staged) // self._pool.limit)))
        groups = [RenameGroup(chunk, self._base, self._after) for chunk in _chunks(staged, size)]
        self._pool.each(self._rename_group, groups)
        return PublishResult(
            [receipt for group in groups for receipt in group.receipts],
            [refusal for group in groups for refusal in group.refused],
        )

    def settle(self, intents: Sequence[Intent]) -> Settlement:
        """
        Find out what a dead attempt's renames came to, by their parts.

        A part that is whole is renamed: that is the delivery. A part that is gone was renamed. If
        its final file is gone too, either a consumer took it (`taken`, and the folder stands), or
        it is sent again. A damaged part is sent again.

        Raises:
            FtpUnavailable: No clear answer; nothing is concluded from silence.
            DeliveryRefused: As for `publish`.
        """

        def settle_one(ftp: FerryFTP, intent: Intent, _: bool) -> Staged | Receipt | Resend:  # noqa: FBT001
            if intent.sidecar is None:
                return outcome_of(ftp, intent, base=self._base, after=self._after)
            return outcome_of_pair(ftp, intent, intent.sidecar, base=self._base, after=self._after)

        found = self._pool.each(settle_one, intents)
        published = self.publish([one for one in found if isinstance(one, Staged)])
        refused = {refusal.record_id for refusal in published.refused}
        in_pairs = [one for one in intents if one.sidecar is not None and one.record_id in refused]
        self._take_back([sidecar_path(one.remote_path) for one in in_pairs])
        resend = [one for one in found if isinstance(one, Resend)]
        return Settlement(
            receipts=[one for one in found if isinstance(one, Receipt)] + published.receipts,
            resend=[one.record_id for one in resend],
            refused=published.refused,
            leftovers=[path for one in resend if one.leftover for path in _both(one.leftover)],
        )

    @contextmanager
    def lent(self) -> Iterator[FerryFTP]:
        """
        Lend a connection to whoever has other work on the server.

        Raises:
            FtpUnavailable: It cannot be opened now.
            DeliveryRefused: Refused, now or before.
        """
        ftp = self._pool.take()
        try:
            yield ftp
        finally:
            self._pool.give_back(ftp)

    def discard(self, staged: Sequence[Staged]) -> None:
        """Delete parts that no open intent names. Never raises: a sweep finds the rest."""
        self.discard_parts([part for item in staged for part in item.parts])

    def discard_parts(self, parts: Sequence[str]) -> None:
        """Delete parts by their paths, as `discard` does."""
        if not parts:
            return
        with suppress(FrameferryError), self.lent() as ftp:
            delete_parts(ftp, parts)
            self._litter.difference_update(parts)

    def _stage_one(
        self,
        ftp: FerryFTP,
        item: tuple[Consignment, bytes],
        ahead: bool,  # noqa: FBT001 - the pool's signature of a job
    ) -> Staged | Refusal:
        consignment, data = item
        try:
            return self._stage_pair(ftp, consignment, data, ahead=ahead)
        except FtpUnavailable as error:
            error.at(partition=consignment.partition, offset=consignment.offset)
            raise

    def _stage_pair(
        self, ftp: FerryFTP, consignment: Consignment, data: bytes, *, ahead: bool
    ) -> Staged | Refusal:
        _check_length(consignment, data)
        try:
            check_path(consignment.remote_path, self._base)
            consignment.remote_path.encode(ftp.encoding)
        except UnsafePath as error:
            return Refusal(consignment.record_id, "unsafe name", error.what)
        except UnicodeEncodeError as error:
            letter = consignment.remote_path[error.start]
            detail = f"{letter!r} cannot be written in the connection's encoding {ftp.encoding}"
            return Refusal(consignment.record_id, "unsafe name", detail)
        content = consignment.sidecar
        part = part_path(
            consignment.remote_path,
            self._part_tag,
            next(_numbers),
            style=self._part_style,
            has_sidecar=content is not None,
        )
        if content is None:
            return self._stage_file(ftp, consignment, data, part, ahead=ahead)
        beside = sidecar_consignment(consignment, content)
        sidecar = self._stage_file(ftp, beside, content, sidecar_part(part), ahead=True)
        if isinstance(sidecar, Refusal):
            return sidecar
        staged = self._stage_file(ftp, consignment, data, part, ahead=ahead)
        return staged if isinstance(staged, Refusal) else replace(staged, sidecar=sidecar)

    def _stage_file(
        self, ftp: FerryFTP, consignment: Consignment, data: bytes, part: str, *, ahead: bool
    ) -> Staged | Refusal:
        with self._caution.over(ftp):
            reply, asked, answers = self._upload(ftp, part, data, ahead=ahead)
        if not reply.is_success:
            record_id = consignment.record_id
            is_lasting = self._is_lasting("upload", record_id, reply)
            return self._refusals.of(
                ftp, record_id, part, reply, what="upload", is_lasting=is_lasting
            )
        measured = understand(ftp, part, asked, answers)
        how = _verified(ftp, consignment, measured, reply)
        return Staged(consignment.record_id, part, consignment.remote_path, how)

    def _is_lasting(self, what: str, record_id: int, reply: Reply) -> bool:
        """
        Count how often a server failed at one record: if at each try, it always will.

        Virus scanners say no in this way, and servers when somebody holds the file open. Without an
        end to it, one picture would hold up all.
        """
        self._local_errors[what, record_id] += reply.is_local_error
        return reply.is_local_error and self._local_errors[what, record_id] >= self._tries

    def _upload(
        self, ftp: FerryFTP, part: str, data: bytes, *, ahead: bool
    ) -> tuple[Reply, list[str], list[Reply]]:
        """Store a part; if the name is refused, make its folder again and try once more."""
        folder = dirname(part)
        self._folders.ensure(ftp, folder)
        self._litter.add(part)
        asked = questions(ftp, part)
        reply, answers = ftp.store_and_ask(part, data, asked, ahead=ahead)
        if reply.is_name_refused and ftp.is_in_step:
            self._folders.forget(folder)
            self._folders.ensure(ftp, folder)
            reply, answers = ftp.store_and_ask(part, data, asked, ahead=ahead)
        return reply, asked, answers

    def _rename_group(self, ftp: FerryFTP, group: RenameGroup, _: bool) -> None:  # noqa: FBT001
        # All are counted before the first of them ends this try.
        counted = [
            (item, reply, self._is_lasting("rename", item.record_id, reply))
            for item, reply in group.rename(ftp)
        ]
        for item, reply, is_lasting in counted:
            self._refusals.settle_rename(ftp, group, item, reply, is_lasting=is_lasting)


def _verified(
    ftp: FerryFTP, consignment: Consignment, measured: Measured | None, reply: Reply
) -> str:
    """
    See that a part is whole, and say how that was seen.

    Raises:
        FtpUnavailable: It is not: the upload has to be done again, to another part.
    """
    if measured is None:
        msg = f"the server does not show a part although it said {reply.words!r}"
        raise FtpUnavailable(msg)
    if flaw := measured.flaw(consignment.size_bytes, consignment.sha256):
        msg = f"{flaw} although it said {reply.words!r}"
        raise FtpUnavailable(msg)
    return "size+tls" if measured.how == "size" and ftp.is_protected else measured.how


def _both(part: str) -> tuple[str, ...]:
    return (sidecar_part(part), part) if has_sidecar(part) else (part,)


def _check_length(consignment: Consignment, data: bytes) -> None:
    if len(data) == consignment.size_bytes:
        return
    msg = f"{len(data)} bytes were to be sent, but {consignment.size_bytes} were judged"
    raise RecordChanged(msg, partition=consignment.partition, offset=consignment.offset)


def _chunks(things: Sequence[ThingT], size: int) -> Iterator[list[ThingT]]:
    for start in range(0, len(things), size):
        yield list(things[start : start + size])
