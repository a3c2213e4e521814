"""The ledger's side of judging: predictions, failures, company, splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction
from frameferry.ledger import claims, company, predictions, splits, withdrawals
from frameferry.ledger.transactions import Transactions, write_names

CountsAs = Literal["failure", "proof", "company"]
"""What a failed judging is counted as; `company` only makes the batch a suspect."""


class Judging:
    """Writes of the attempt that judges; all are fenced."""

    _transactions: Transactions

    def begin_judging(
        self, token: Token, *, server: str, is_alone: bool, lease_seconds: float
    ) -> bool:
        """
        Enter a judge job on a Spark server that others may share, if it may begin now.

        While one is alone, or waits for it, nobody else begins. The entry is renewed with the
        batch's lease, and leaves with `end_judging` or when the lease runs out.

        Returns:
            False where it may not; one that wants to be alone then waits in line. Ask again.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            return company.begin_judging(
                connection, token, server=server, is_alone=is_alone, lease_seconds=lease_seconds
            )

    def end_judging(self, token: Token) -> bool:
        """Take the judge job off, and say whether another shared its server at any time."""
        with self._transactions.write() as connection:
            return company.end_judging(connection, token)

    def count_failure(
        self, token: Token, counts_as: CountsAs, *, error: str, times: int = 1
    ) -> None:
        """
        Count a failed judging against the batch, for as many failures as it stands for.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            claims.count_failure(connection, token, counts_as, error=error, times=times)

    def split_batch(
        self,
        token: Token,
        *,
        pieces: splits.Pieces,
        lost: Sequence[tuple[OffsetRange, str]] = (),
        is_charged: bool,
        why: str,
    ) -> tuple[int, ...]:
        """
        End a batch without predictions in favour of its pieces, in one transaction.

        Args:
            token: The attempt that judges; it is fenced afterwards, like all others.
            pieces: The ranges of each batch that goes on.
            lost: Ranges that Kafka no longer holds, each with its cause: they become gaps.
                Together with the pieces they tile the batch.
            is_charged: Whether a control passed: then one failure splits a piece again.
            why: Said in the pieces' sentences.

        Returns:
            The ids of the new batches, in order of the pieces.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: The batch is judged already, or the pieces do not tile it.
        """
        with self._transactions.write() as connection:
            return splits.split_batch(
                connection, token, pieces=pieces, lost=lost, is_charged=is_charged, why=why
            )

    def record_predictions(
        self,
        token: Token,
        rows: Sequence[NamedPrediction],
        *,
        destination: str,
        judge_digest: str | None,
        seconds: float,
        loading_seconds: float = 0.0,
        remark: str | None = None,
        max_quarantine: int | None = None,
    ) -> None:
        """
        Freeze what the judge said, once per batch: rows, final names, quarantines.

        A name that another record holds (compared without case) makes the row its *duplicate*
        where the bytes are the same, and quarantines it as "name taken" where they are not. A
        replay's row takes the name over with its receipt.

        Args:
            token: The attempt that judged.
            rows: One for each record of the batch's ranges, in any order.
            destination: The server and account that the paths are on.
            judge_digest: The model that was loaded; None without a model.
            seconds: How long judging took.
            loading_seconds: How much of it went by before cold workers met their first picture.
            remark: What else there is to say of the batch, in a sentence.
            max_quarantine: With more quarantined images than this, and than a twentieth, in the
                batch or in an hour, the pipeline is blocked in the same transaction; None: never.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: The batch is judged already.
            PredictionsIncomplete: A row lies outside the ranges, or two are of one record.
        """

        def record(connection: Connection) -> None:
            predictions.record_predictions(
                connection,
                token,
                rows,
                destination=destination,
                judge_digest=judge_digest,
                seconds=seconds,
                loading_seconds=loading_seconds,
                remark=remark,
                max_quarantine=max_quarantine,
            )

        write_names(self._transactions, record)

    def withdraw_predictions(
        self, token: Token, *, partition: int, offset: int, error: str, is_proof: bool
    ) -> None:
        """
        Take back rows that turned out not to be the records of the range: a failure of judging.

        Where rows have receipts, open intents or gaps, the batch is split: they, and what was
        compared before, go to judged pieces, and the rest is judged again.

        Args:
            token: The attempt that found out.
            partition: Where the rows and the records part.
            offset: The first one in doubt; what lies before was compared.
            error: What is wrong there.
            is_proof: It was one offset, judged behind a control that passed: a proof as well.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: The batch is not judged, or delivered already.
        """
        with self._transactions.write() as connection:
            withdrawals.withdraw_predictions(
                connection,
                token,
                partition=partition,
                offset=offset,
                error=error,
                is_proof=is_proof,
            )

    def judge_again(self, token: Token, *, destination: str, base: str, why: str) -> None:
        """
        Take back all rows without a receipt, an open intent or a gap, on a person's word.

        It counts as no failure. As `withdraw_predictions`, it splits a batch that has such rows.
        An intent at another place than the pipeline delivers to now is given up: nobody is going
        to look there again.

        Args:
            token: Whose batch it is.
            destination: The server and account that are delivered to now.
            base: The folder.
            why: Who wants it.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: The batch is not judged, or delivered already.
        """
        with self._transactions.write() as connection:
            withdrawals.judge_again(connection, token, destination=destination, base=base, why=why)

    def withdraw_untouched(self, token: Token) -> bool:
        """
        Take back all rows where none has a receipt or an intent; it counts as no failure.

        Returns:
            Whether they were: else a file of the batch may be where its rows say, and they stand.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
            LedgerConflict: The batch is not judged, or delivered already.
        """
        with self._transactions.write() as connection:
            return withdrawals.withdraw_untouched(connection, token)
