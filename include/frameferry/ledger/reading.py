"""The ledger's reading side: one snapshot a question."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from frameferry.domain.batch import Batch, ReplayLeaf
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.state import (
    BatchRow,
    Block,
    Counts,
    GapRow,
    PartFates,
    PipelineState,
    QuarantineRow,
    RecordRow,
)
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.guards import claims, epochs, logins
from frameferry.ledger.progress import commits, gaps, pipelines, states, topics
from frameferry.ledger.records import listings, orphans, replays, searching


class Reading:
    """Questions. An unknown pipeline is no error: nothing is known of it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def pipeline_state(self, name: str) -> PipelineState | None:
        """Read what planner, wait and status decide on, in one snapshot; None if not registered."""
        with self._transactions.read() as connection:
            return states.pipeline_state(connection, name)

    def blocked(self, pipeline: str) -> Block | None:
        """Read what blocks a pipeline; None if nothing does, or it is not registered."""
        with self._transactions.read() as connection:
            return states.blocked(connection, pipeline)

    def owned_partitions(self, cluster_id: str, topic_id: str) -> dict[int, str]:
        """Read which partitions of a topic any pipeline owns, and its name."""
        with self._transactions.read() as connection:
            return pipelines.owned_partitions(connection, cluster_id, topic_id)

    def gaps(self, pipeline: str) -> list[GapRow]:
        """List all gaps, oldest first, accepted or not."""
        with self._transactions.read() as connection:
            return gaps.list_gaps(connection, pipeline)

    def epoch(self) -> str:
        """Read the ledger's epoch: a new one begins at every restore, also under our hands."""
        with self._transactions.read() as connection:
            return epochs.current_epoch(connection)

    def batch(self, batch_id: int) -> Batch:
        """
        Read a batch, with the token of its newest attempt.

        Raises:
            LedgerConflict: There is none of this id.
        """
        with self._transactions.read() as connection:
            return claims.find_batch(connection, batch_id)

    def committed_offsets(self, pipeline: str) -> dict[int, int]:
        """Read the committed (next) offset of each partition; empty if not registered."""
        with self._transactions.read() as connection:
            return commits.committed_offsets(connection, pipeline)

    def login_refusal(self, digest: str) -> str | None:
        """Read why the server refused a connection; None if it did not."""
        with self._transactions.read() as connection:
            return logins.login_refusal(connection, digest)

    def remark(self, pipeline: str) -> tuple[int, str] | None:
        """Read what was remarked on most pictures of the last judged batch: (batch, words)."""
        with self._transactions.read() as connection:
            return listings.remark(connection, pipeline)

    def asks_alone(self, digest: str | None = None) -> bool:
        """Say whether a connection's, or any's, data addresses turned out to be had alone only."""
        with self._transactions.read() as connection:
            return logins.asks_alone(connection, digest)

    def counts(self, pipeline: str) -> Counts:
        """Count the rows that stand; all zero if the pipeline is not registered."""
        with self._transactions.read() as connection:
            return listings.counts(connection, pipeline)

    def records(
        self,
        pipeline: str,
        *,
        partition: int | None = None,
        offset: int | None = None,
        name_glob: str | None = None,
        label: str | None = None,
        limit: int = 1000,
    ) -> list[RecordRow]:
        """
        List the rows that stand, by partition and offset.

        *name_glob* (`*`, `?`, `[…]`, with case) is matched with the source name and with the
        whole remote path. A whole path and the beginning of a name are found at once, all else
        takes as long as there are records. Where more names begin so than *limit*, the first by
        name are listed.
        """
        with self._transactions.read() as connection:
            return searching.list_records(
                connection,
                pipeline,
                partition=partition,
                offset=offset,
                name_glob=name_glob,
                label=label,
                limit=limit,
            )

    def quarantined(self, pipeline: str) -> list[QuarantineRow]:
        """List the quarantined rows that stand, by partition and offset."""
        with self._transactions.read() as connection:
            return listings.quarantined(connection, pipeline)

    def count_standing(self, pipeline: str, wanted: OffsetRange) -> tuple[int, int]:
        """Count a range's standing rows: (delivered, quarantined)."""
        with self._transactions.read() as connection:
            return listings.count_standing(connection, pipeline, wanted)

    def standing_elsewhere(
        self, pipeline: str, wanted: OffsetRange, *, destination: str, base: str
    ) -> tuple[str, str] | None:
        """Find a range's standing file on another server or below another base; as `misplaced`."""
        with self._transactions.read() as connection:
            return replays.standing_elsewhere(
                connection, pipeline, wanted, destination=destination, base=base
            )

    def replays_over(self, pipeline: str, wanted: OffsetRange) -> list[ReplayLeaf]:
        """List the replays that lie over a range of the newest generation, oldest first."""
        with self._transactions.read() as connection:
            return replays.replays_over(connection, pipeline, wanted)

    def last_batches(self, pipeline: str, limit: int = 20) -> list[BatchRow]:
        """List the newest batches first; one that was split is shown by its children."""
        with self._transactions.read() as connection:
            return listings.last_batches(connection, pipeline, limit)

    def unfinished(self, pipeline: str, batch_ids: Sequence[int]) -> list[int]:
        """Pick those of the batches that have no census, in the order given."""
        with self._transactions.read() as connection:
            return listings.unfinished(connection, pipeline, batch_ids)

    def superseded_from(self, pipeline: str, generation: int) -> dict[int, int]:
        """
        Find from which offset on a generation's partitions hold other records by now.

        Empty for the newest generation. 0 where the topic is another by now; a partition of the
        same topic whose log was not truncated is held to where it was planned.
        """
        with self._transactions.read() as connection:
            return topics.superseded_from(connection, pipeline, generation)

    def planned_of_topic(self, pipeline: str, *, cluster_id: str, topic_id: str) -> dict[int, int]:
        """Find how far a topic was planned when the pipeline had it last; empty if it never had."""
        with self._transactions.read() as connection:
            return topics.planned_of_topic(
                connection, pipeline, cluster_id=cluster_id, topic_id=topic_id
            )

    def finished_through(self, pipeline: str, *, partition: int, start: int, end: int) -> int:
        """
        Find how far from *start* on the ledger has a row for each record that there was.

        That is through batches that are finished, and not pruned: at most *end*.
        """
        with self._transactions.read() as connection:
            return topics.finished_through(
                connection, pipeline, partition=partition, start=start, end=end
            )

    def last_recorded(
        self, pipeline: str, *, partition: int, start: int, end: int
    ) -> tuple[int, str] | None:
        """Find offset and sha256 of the last standing row in `[start, end)`; None without one."""
        with self._transactions.read() as connection:
            return topics.last_recorded(
                connection, pipeline, partition=partition, start=start, end=end
            )

    def litter_folders(
        self, pipeline: str, *, destination: str, batch_id: int | None = None
    ) -> list[str]:
        """
        List the folders at a destination in which dead attempts may have left parts.

        They are those of batches that took more attempts than one needs that goes well; of one
        batch, or of all.
        """
        with self._transactions.read() as connection:
            return orphans.litter_folders(
                connection, pipeline, destination=destination, batch_id=batch_id
            )

    def part_fates(
        self,
        pipeline: str,
        batch_ids: Collection[int],
        *,
        destination: str,
        paths: Collection[str],
    ) -> PartFates:
        """
        Say which attempts of a pipeline's batches ended, and which parts open intents name.

        Also which of *paths*, found at a destination, are final names and so no parts at all.

        No intent for a part of an ended attempt is accepted any more: what is not named now
        never will be. A batch of another pipeline, or an unknown one, is in no answer.
        """
        with self._transactions.read() as connection:
            return orphans.part_fates(
                connection, pipeline, batch_ids, destination=destination, paths=paths
            )
