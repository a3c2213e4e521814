"""The ledger's side of recovery: what a look at the world found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frameferry.domain.sightings import Sighting
from frameferry.ledger.database.transactions import Transactions, write_names
from frameferry.ledger.upkeep import recoveries


class Recovering:
    """Writes of a person who recovers a pipeline; each is recorded with a name."""

    _transactions: Transactions

    def renew_epoch(self, pipeline: str, *, who: str) -> str:
        """
        Begin a new epoch, which fences every token of every pipeline, and skip ids ahead.

        For a ledger that became an older one under its own epoch, as after a failover.
        """
        with self._transactions.write() as connection:
            return recoveries.renew_epoch(connection, pipeline, who=who)

    def record_confirmation(self, pipeline: str, *, who: str, reason: str) -> None:
        """Write down that a person vouches for this ledger as the newest."""
        with self._transactions.write() as connection:
            recoveries.record_confirmation(connection, pipeline, who=who, reason=reason)

    def record_recovery(
        self,
        pipeline: str,
        *,
        recovered_to: Mapping[int, int],
        taken_to: Mapping[int, int],
        looked_to: Mapping[int, int],
        destination: str,
        seen: Sequence[Sighting],
        who: str,
        detail: str,
    ) -> int:
        """
        Write down what the world holds beyond the ledger, and let the pipeline go on.

        Args:
            pipeline: The pipeline.
            recovered_to: Per partition, the mirrored offset that was looked into.
            taken_to: Per partition, the offset below which a file that is not there was taken.
            looked_to: Per partition, the offset below which a file that was not seen is looked
                for by its name before it is sent: the list may not have been whole.
            destination: The server and account on which *seen* are.
            seen: Files of records beyond the committed offsets.
            who: The person, for the record.
            detail: What was found, for the record.

        Returns:
            How many rows that were judged already are left in doubt by it, for the next delivery
            to settle; rows that are judged later are so then.
        """
        return write_names(
            self._transactions,
            lambda connection: recoveries.record_recovery(
                connection,
                pipeline,
                recovered_to=recovered_to,
                taken_to=taken_to,
                looked_to=looked_to,
                destination=destination,
                seen=seen,
                who=who,
                detail=detail,
            ),
        )
