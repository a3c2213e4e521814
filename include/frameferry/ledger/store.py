"""The ledger's door: every question and every write, one transaction each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from frameferry.domain.batch import Batch, ReplayMode, Token
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerUnavailable
from frameferry.ledger.delivering import Delivering
from frameferry.ledger.guards import claims, logins
from frameferry.ledger.judging import Judging
from frameferry.ledger.progress import commits, gaps, pipelines, plans, topics
from frameferry.ledger.reading import Reading
from frameferry.ledger.records import replays
from frameferry.ledger.recovering import Recovering

LOGIN_PATIENCE_SECONDS: Final = 20.0
"""How long a log-in waits for another's to end before it gives way."""
_LOGIN_POLL_SECONDS: Final = 0.1


class Ledger(Reading, Judging, Delivering, Recovering):
    """
    All that is known for sure. Threads may share it; a forked process opens its own.

    Every method is one transaction: it happens whole or not at all. All of them may raise
    LedgerUnavailable (down or locked: the step may be run again) and LedgerConflict (a rule of
    the ledger refuses; nothing was written).
    """

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._transactions.close()

    # Pipelines and planning

    def register_pipeline(
        self,
        name: str,
        *,
        cluster_id: str,
        topic: str,
        topic_id: str,
        starts: Mapping[int, int],
    ) -> None:
        """
        Make a pipeline known, and those of its partitions that are not yet; may be repeated.

        Args:
            name: The pipeline.
            cluster_id: Its Kafka cluster, by Kafka's own id.
            topic: Its topic's name, for people.
            topic_id: Its topic, by Kafka's own id.
            starts: The first offset to read, per partition. A partition that is known already
                keeps its progress, whatever is said here.

        Raises:
            TopicChanged: The pipeline is recorded with another topic or cluster.
            LedgerConflict: Another pipeline owns one of the partitions.
        """
        with self._transactions.write() as connection:
            pipelines.register_pipeline(
                connection,
                name,
                cluster_id=cluster_id,
                topic=topic,
                topic_id=topic_id,
                starts=starts,
            )

    def add_batch(
        self, pipeline: str, *, ranges: Sequence[OffsetRange], sentence: str, config_digest: str
    ) -> int:
        """
        Freeze a live batch's ranges, and return its id.

        Each range must start at its partition's planned offset, which moves to the range's end.

        Raises:
            PlanStale: A planned offset is elsewhere: another planner was faster.
        """
        with self._transactions.write() as connection:
            return plans.add_batch(
                connection,
                pipeline,
                ranges=ranges,
                sentence=sentence,
                config_digest=config_digest,
            )

    def record_gap(self, pipeline: str, *, partition: int, start: int, end: int, cause: str) -> int:
        """
        Record that Kafka lost `[start, end)`, and let planning go on behind it.

        *start* must be the planned offset, which moves to *end*. The committed offset waits at
        *start* until a person accepts the gap.

        Returns:
            The gap's id.

        Raises:
            PlanStale: The planned offset is elsewhere.
        """
        with self._transactions.write() as connection:
            return gaps.record_gap(
                connection, pipeline, partition=partition, start=start, end=end, cause=cause
            )

    def accept_gap(self, gap_id: int, *, who: str, reason: str) -> None:
        """Sign a gap off, so that the committed offset jumps; a second time changes nothing."""
        with self._transactions.write() as connection:
            gaps.accept_gap(connection, gap_id, who=who, reason=reason)

    def block(self, pipeline: str, *, reason: str, digest: str | None) -> None:
        """
        Let nothing run; *digest* names the connection that blocks, None: a person must act.

        A block that waits for a person stands until then; other troubles are found again after it.
        """
        with self._transactions.write() as connection:
            pipelines.block(connection, pipeline, reason=reason, digest=digest)

    def unblock(self, pipeline: str, *, who: str) -> bool:
        """
        Free a pipeline and its batches' back-offs; say whether it was blocked. Recorded.

        *who* is a person, who has seen what is quarantined: it counts no more against the next.
        """
        with self._transactions.write() as connection:
            return pipelines.unblock(connection, pipeline, who=who)

    def free_of(self, pipeline: str, *, digest: str, who: str) -> bool:
        """
        Lift the block that names this connection, which is another by now; as `unblock` else.

        Nobody has looked at anything: what is quarantined counts as before.
        """
        with self._transactions.write() as connection:
            return pipelines.free_of(connection, pipeline, digest=digest, who=who)

    # Topics that are no longer what they were

    def accept_topic(
        self,
        pipeline: str,
        *,
        generation: int,
        cluster_id: str,
        topic_id: str,
        starts: Mapping[int, int],
        who: str,
        reason: str,
    ) -> None:
        """
        Begin the next generation on a person's word, and free the pipeline.

        Offsets mean other records in it, so that files get other names. Open batches of the old
        generation go on, as far as the log still holds what they were planned from.

        Args:
            pipeline: The pipeline.
            generation: The one that is left; another call may have left it already.
            cluster_id: Of the topic as it is now.
            topic_id: Of the topic as it is now.
            starts: The first offset of the new generation, for each partition.
            who: The person.
            reason: In the person's words.

        Raises:
            LedgerConflict: The generation was left already.
        """
        with self._transactions.write() as connection:
            topics.accept_topic(
                connection,
                pipeline,
                generation=generation,
                cluster_id=cluster_id,
                topic_id=topic_id,
                starts=starts,
                who=who,
                reason=reason,
            )

    def note_leader_epochs(self, pipeline: str, epochs: Mapping[int, int]) -> None:
        """Remember under which leaders the logs were found to be the ones we know."""
        with self._transactions.write() as connection:
            topics.note_leader_epochs(connection, pipeline, epochs)

    # Claims

    def claim(self, batch_id: int, *, owner: str, lease_seconds: float) -> Batch:
        """
        Begin a new attempt: every older token is fenced from now on.

        The lease, by the database's clock, is a courtesy that keeps two runners from fencing
        each other for ever. An owner may claim again under its own lease, and is fenced too.

        Raises:
            BatchOwned: Somebody else's lease is live; says whose and until when.
            Fenced: The batch was split.
        """
        with self._transactions.write() as connection:
            return claims.claim(connection, batch_id, owner=owner, lease_seconds=lease_seconds)

    def renew(self, token: Token, lease_seconds: float) -> None:
        """
        Prolong the lease to *lease_seconds* from now.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            claims.renew(connection, token, lease_seconds)

    def release(self, token: Token) -> None:
        """End the lease if it is still ours. Never raises: a lease also ends by itself."""
        try:
            with self._transactions.write() as connection:
                claims.release(connection, token)
        except LedgerUnavailable:
            return

    def record_failure(self, token: Token, *, error: str, retry_after_seconds: float) -> None:
        """
        Remember why an attempt failed, and when to try again, by the database's clock.

        Raises:
            Fenced: A newer attempt, a split or a restore owns the batch.
        """
        with self._transactions.write() as connection:
            claims.record_failure(
                connection, token, error=error, retry_after_seconds=retry_after_seconds
            )

    # Committing

    def commit(self, batch_id: int) -> dict[int, int]:
        """
        Move the committed offsets along the chain of finished ranges; may be repeated.

        A finished batch behind an unfinished one, or behind a gap, is a success: the chain
        moves when that is finished or accepted. A replay moves nothing.

        Returns:
            The committed (next) offset of each of the pipeline's partitions.

        Raises:
            BatchUnfinished: The batch has no census yet.
        """
        with self._transactions.write() as connection:
            return commits.commit(connection, batch_id)

    # Log-ins

    def begin_login(
        self,
        digest: str,
        *,
        owner: str,
        lease_seconds: float,
        patience_seconds: float = LOGIN_PATIENCE_SECONDS,
    ) -> None:
        """
        Take the turn to log in with a connection; waits for another's turn to end.

        Args:
            digest: The connection with its user and password.
            owner: Who tries, for the others' message.
            lease_seconds: When a turn that was never ended is over.
            patience_seconds: How long to wait for the turn.

        Raises:
            PipelineBlocked: The server refused this user and password before.
            FtpUnavailable: Another log-in is still being tried.
        """
        deadline = time.monotonic() + patience_seconds
        while not self._try_login(digest, owner, lease_seconds):
            if time.monotonic() >= deadline:
                with self._transactions.read() as connection:
                    raise logins.turn_taken(connection, digest)
            time.sleep(_LOGIN_POLL_SECONDS)

    def renew_login(self, digest: str, *, owner: str, lease_seconds: float) -> None:
        """Prolong the owner's turn; does nothing where it is over, or another's."""
        with self._transactions.write() as connection:
            logins.renew_login(connection, digest, owner=owner, lease_seconds=lease_seconds)

    def end_login(self, digest: str, *, owner: str, refused: str | None) -> None:
        """
        End the owner's turn; another's that has begun meanwhile goes on.

        *refused* is the server's no, which keeps all others out from now on, whosever turn it is.
        """
        with self._transactions.write() as connection:
            logins.end_login(connection, digest, owner=owner, refused=refused)

    def forget_refusal(self, digest: str) -> None:
        """Allow another log-in after a refusal, on a person's word."""
        with self._transactions.write() as connection:
            logins.forget_refusal(connection, digest)

    def note_alone(self, digest: str) -> None:
        """Note that a connection's data addresses are asked for alone; a second time is nothing."""
        with self._transactions.write() as connection:
            logins.note_alone(connection, digest)

    # Replay

    def add_replay(
        self,
        pipeline: str,
        *,
        ranges: Sequence[OffsetRange],
        mode: ReplayMode,
        sentence: str,
        config_digest: str,
        who: str,
        asked_at: datetime | None = None,
    ) -> int:
        """
        Plan a batch over committed offsets, and return its id; the action is recorded.

        *asked_at* is one moment for all batches of one replay; now, where there is only one.

        `redeliver` begins judged: it copies the standing rows, path and label and all; those
        that are quarantined stay so. `reinfer` begins with none.

        Raises:
            ConfigError: A range is not committed yet, or overlaps one of an open replay.
        """
        with self._transactions.write() as connection:
            return replays.add_replay(
                connection,
                pipeline,
                ranges=ranges,
                mode=mode,
                sentence=sentence,
                config_digest=config_digest,
                who=who,
                asked_at=asked_at,
            )

    def _try_login(self, digest: str, owner: str, lease_seconds: float) -> bool:
        with self._transactions.write() as connection:
            return logins.begin_login(connection, digest, owner=owner, lease_seconds=lease_seconds)
