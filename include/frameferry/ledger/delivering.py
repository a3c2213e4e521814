"""The ledger's side of delivery: what is due, intents, receipts, refusals, the census."""

from __future__ import annotations

from collections.abc import Sequence

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import (
    Census,
    Consignment,
    Intent,
    Receipt,
    Refusal,
    StoredPrediction,
)
from frameferry.ledger.database.transactions import Transactions, write_names
from frameferry.ledger.records import census as censuses
from frameferry.ledger.records import intents, losses
from frameferry.ledger.records import receipts as receipt_rows


class Delivering:
    """Writes of the attempt that delivers; all are fenced."""

    _transactions: Transactions

    def consignments(self, token: Token) -> list[Consignment]:
        """
        List the rows that still need an outcome, by partition and offset.

        A duplicate whose record was quarantined since becomes a consignment of its own.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        return write_names(
            self._transactions, lambda connection: intents.consignments(connection, token)
        )

    def misplaced(self, batch_id: int, *, destination: str, base: str) -> tuple[str, str] | None:
        """
        Find a row that is due on another server or below another base: (destination, full path).

        Where a file goes was frozen when it was judged.
        """
        with self._transactions.read() as connection:
            return intents.misplaced(connection, batch_id, destination, base)

    def recorded_offsets(self, token: Token) -> dict[int, list[int]]:
        """
        List every row's offset by partition, ascending: what the judge said exists.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.read() as connection:
            return intents.recorded_offsets(connection, token)

    def stored_predictions(
        self, token: Token, record_ids: Sequence[int]
    ) -> dict[int, StoredPrediction]:
        """
        Read what was said of records of the batch, by their ids.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.read() as connection:
            return intents.stored_predictions(connection, token, record_ids)

    def open_intents(self, token: Token) -> list[Intent]:
        """
        List the parts, of any attempt, that may have been renamed: they have no receipt yet.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.read() as connection:
            return intents.open_intents(connection, token)

    def record_intents(self, token: Token, parts: Sequence[tuple[int, str]]) -> None:
        """
        Write down which part will be renamed to which record's name, before it is.

        Args:
            token: The attempt that holds the intents from now on.
            parts: (record id, full path of the part) each.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: A record is not due, or has an open intent that was not settled.
        """
        with self._transactions.write() as connection:
            intents.record_intents(connection, token, parts)

    def withdraw_intents(self, token: Token, record_ids: Sequence[int]) -> None:
        """
        Give up parts that were not renamed, and will not be.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            intents.withdraw_intents(connection, token, record_ids)

    def record_receipts(self, token: Token, receipts: Sequence[Receipt]) -> None:
        """
        Write down what was verified under its final name; may be repeated.

        A receipt is a fact: it is accepted from the attempt that holds the intent even if a
        newer one fences it. Each moves `current`, and the name, in this transaction.

        Raises:
            Fenced: A newer attempt settled the intents otherwise, or the epoch is another.
            LedgerConflict: A record has no open intent.
        """
        with self._transactions.write() as connection:
            receipt_rows.record_receipts(connection, token, receipts)

    def record_refusals(
        self, token: Token, refusals: Sequence[Refusal], *, max_quarantine: int | None = None
    ) -> None:
        """
        Quarantine records that the server refuses for good; open intents are withdrawn before.

        Args:
            token: The attempt that delivers.
            refusals: The server's words, one a record.
            max_quarantine: As for `record_predictions`.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            intents.record_refusals(connection, token, refusals, max_quarantine)

    def record_losses(self, token: Token, lost: Sequence[tuple[OffsetRange, str]]) -> int:
        """
        End rows whose bytes Kafka lost before they were delivered, in gaps; say how many.

        A gap holds back the committed offset until a person accepts it. Rows of a replay are
        dropped: what they would have sent again stands as it is.

        Args:
            token: The attempt that delivers; it has settled all intents.
            lost: Offsets of the batch that Kafka no longer holds, each with its cause.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            return losses.record_losses(connection, token, lost)

    def record_census(self, token: Token, census: Sequence[Census], *, seconds: float) -> None:
        """
        Finish the batch: what deliver met is what was judged, and each has its outcome.

        Args:
            token: The attempt that delivered.
            census: One a range, each read to its end.
            seconds: How long delivery took.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            PredictionsIncomplete: The rows are not the records that were met.
            BatchUnfinished: A range is missing or was not read to its end, or a record has no
                outcome (a duplicate's record must be delivered itself).
        """
        with self._transactions.write() as connection:
            censuses.record_census(connection, token, census, seconds=seconds)
