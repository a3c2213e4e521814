"""Gather findings: counts without bound, examples and what is to be repaired within bounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from frameferry.domain.audit import AuditedRow, Example, Finding, Kind

EXAMPLES_KEPT: Final = 20
REPAIRS_KEPT: Final = 10_000
"""Records that one audit repairs at most; the next one goes on."""


class Collector:
    """
    What an audit found so far.

    `to_repair` are the rows whose files are to be sent again, at most REPAIRS_KEPT of
    `repairable`.
    """

    def __init__(self) -> None:
        self._counts: Counter[Kind] = Counter()
        self._examples: defaultdict[Kind, list[Example]] = defaultdict(list)
        self.to_repair: list[AuditedRow] = []
        self.repairable = 0

    def add(
        self,
        kind: Kind,
        *,
        path: str | None = None,
        place: str | None = None,
        detail: str = "",
        count: int = 1,
    ) -> None:
        """Count something that was found, and keep it as an example if there are few."""
        if not count:
            return
        self._counts[kind] += count
        kept = self._examples[kind]
        if (path or place or detail) and len(kept) < EXAMPLES_KEPT:
            kept.append(Example(path, place, detail))

    def add_file(self, kind: Kind, row: AuditedRow, path: str, detail: str = "") -> None:
        """Count a file that is not as its row says, to be sent again."""
        self.add(kind, path=path, place=row.place, detail=detail)
        self.repairable += 1
        if len(self.to_repair) < REPAIRS_KEPT:
            self.to_repair.append(row)

    def count(self, kind: Kind) -> int:
        """Say how many of a kind there are so far."""
        return self._counts[kind]

    def findings(self, pipeline: str) -> tuple[Finding, ...]:
        """Sum up, in the order of the kinds."""
        return tuple(
            Finding(
                kind,
                kind.is_wrong,
                self._counts[kind],
                _WHAT[kind],
                _NEXT.get(kind, "").format(pipeline=pipeline),
                tuple(self._examples[kind]),
            )
            for kind in Kind
            if self._counts[kind]
        )


_AGAIN: Final = "To send them again, run: frameferry audit {pipeline} --repair"
_WHAT: Final = {
    Kind.missing: "files that the ledger has receipts for are not there",
    Kind.wrong_size: "files have another length than was delivered",
    Kind.wrong_hash: "files of the sample hold other bytes than were delivered",
    Kind.unread: "files of the sample could not be read back",
    Kind.extra: "files are named like ours, and no row of the ledger explains them",
    Kind.unanswered: "offsets below the committed offset have no answer in the ledger",
    Kind.miscounted: "ranges do not hold the records that were counted at delivery",
    Kind.not_judged: "folders may hold more than the server shows of them",
    Kind.unasked: "files that no list shows were not looked for, or the server gave no answer",
    Kind.not_compared: "comparisons were not made",
    Kind.left_out: "comparisons were left out, as was asked for",
    Kind.orphan: "parts were left by attempts that are over",
    Kind.part: "parts are at work, or of another ledger",
    Kind.stranger: "files below the base are not named like ours",
    Kind.taken: "files are not there any more: their consumer takes them",
    Kind.quarantined: "records are in quarantine",
    Kind.gap: "offsets are in gaps: Kafka lost them unread",
    Kind.rowless: "offsets that Kafka holds have no row: markers and aborted records, as a rule",
    Kind.elsewhere: "files lie on another server, or below another base, and were not looked at",
    Kind.pruned: "records were pruned: only their names are known",
    Kind.recounted: "ranges were read again in Kafka, and counted",
}
_NEXT: Final = {
    Kind.missing: _AGAIN,
    Kind.wrong_size: _AGAIN,
    Kind.wrong_hash: _AGAIN,
    Kind.unread: "Let the account read, or leave the sample out: --sample 0",
    Kind.extra: "See who wrote them; files of a ledger that was lost are found by: frameferry "
    "ledger recover {pipeline}",
    Kind.unanswered: "Report it, and keep a backup of the ledger. To have them judged and sent: "
    "frameferry replay {pipeline} --range … --mode reinfer",
    Kind.miscounted: "Report it, and keep a backup of the ledger; see: frameferry status "
    "{pipeline}",
    Kind.not_judged: "Let the server list them whole, or keep folders small: deliver.name",
    Kind.unasked: "Repair what is known first, then audit again; or audit less at once: --since",
    Kind.not_compared: "Audit again, or without them: --without-kafka",
    Kind.orphan: "To delete them, run: frameferry sweep {pipeline}",
    Kind.quarantined: "To look at them, run: frameferry quarantine {pipeline}",
    Kind.gap: "To look at them, run: frameferry gaps",
}
