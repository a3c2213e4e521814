"""The ledger's door: one line per question or write, whose contract and code stand behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection

from frameferry.domain.batch import Token
from frameferry.errors import LedgerConflict, LedgerUnavailable
from frameferry.ledger.database.transactions import Transactions, write_names
from frameferry.ledger.guards import claims, company, epochs, logins
from frameferry.ledger.progress import (
    adoptions,
    commits,
    pipelines,
    plans,
    splits,
    states,
    topics,
)
from frameferry.ledger.progress import gaps as lost
from frameferry.ledger.records import (
    asked,
    audits,
    census,
    comparing,
    intents,
    keeping,
    listings,
    losses,
    orphans,
    overviews,
    predictions,
    receipts,
    replays,
    resolving,
    searching,
    selecting,
    stopping,
    withdrawals,
)
from frameferry.ledger.upkeep import recoveries

LOGIN_PATIENCE_SECONDS: Final = 20.0
"""How long a log-in waits for another's to end before it gives way."""
_LOGIN_POLL_SECONDS: Final = 0.1
P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[Concatenate[Connection, P], R]
Method = Callable[Concatenate["Ledger", P], R]


def reads(work: Work[P, R]) -> Method[P, R]:
    """Turn work on a connection into a question, asked in one snapshot."""

    @wraps(work)
    def method(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._transactions.read() as connection:
            return work(connection, *args, **kwargs)

    return method


def writes(work: Work[P, R]) -> Method[P, R]:
    """Turn work on a connection into a write, done in one transaction."""

    @wraps(work)
    def method(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._transactions.write() as connection:
            return work(connection, *args, **kwargs)

    return method


def takes_names(work: Work[P, R]) -> Method[P, R]:
    """Turn work that takes names into a write, repeated if a rival took one meanwhile."""

    @wraps(work)
    def method(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return write_names(self._transactions, lambda c: work(c, *args, **kwargs))

    return method


class Ledger:
    """
    All that is known for sure. Threads may share it; a forked process opens its own.

    Every method is one transaction: it happens whole or not at all. All of them may raise
    LedgerUnavailable (down or locked: the step may be run again) and LedgerConflict (a rule of the
    ledger refuses; nothing was written). A question about an unknown pipeline is not an error:
    nothing is known of it.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions: Final = transactions

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._transactions.close()

    # Pipelines and planning
    pipeline_state = reads(states.pipeline_state)
    blocked = reads(states.blocked)
    register_pipeline = writes(pipelines.register_pipeline)
    owned_partitions = reads(pipelines.owned_partitions)
    block = writes(pipelines.block)
    unblock = writes(pipelines.unblock)
    free_of = writes(pipelines.free_of)
    add_batch = writes(plans.add_batch)
    gaps = reads(lost.list_gaps)
    record_gap = writes(lost.record_gap)
    accept_gap = writes(lost.accept_gap)

    # Beginning where another system stopped
    adopt = writes(adoptions.adopt)
    adopted = reads(adoptions.adopted)
    refuse_begun = reads(adoptions.refuse_begun)

    # Topics that are no longer what they were
    accept_topic = writes(topics.accept_topic)
    note_leader_epochs = writes(topics.note_leader_epochs)
    superseded_from = reads(topics.superseded_from)
    planned_of_topic = reads(topics.planned_of_topic)
    finished_through = reads(topics.finished_through)
    last_recorded = reads(topics.last_recorded)

    # Claims
    epoch = reads(epochs.current_epoch)
    batch = reads(claims.find_batch)
    claim = writes(claims.claim)
    renew = writes(claims.renew)
    record_failure = writes(claims.record_failure)

    # Judging; all writes of it are fenced
    begin_judging = writes(company.begin_judging)
    end_judging = writes(company.end_judging)
    count_failure = writes(claims.count_failure)
    split_batch = writes(splits.split_batch)
    leaves = reads(splits.leaves)
    record_predictions = takes_names(predictions.record_predictions)
    withdraw_predictions = writes(withdrawals.withdraw_predictions)
    judge_again = writes(withdrawals.judge_again)
    withdraw_untouched = writes(withdrawals.withdraw_untouched)

    # Delivering; all writes of it are fenced
    consignments = takes_names(intents.consignments)
    misplaced = reads(intents.misplaced)
    recorded_offsets = reads(intents.recorded_offsets)
    stored_predictions = reads(intents.stored_predictions)
    open_intents = reads(intents.open_intents)
    record_intents = writes(intents.record_intents)
    withdraw_intents = writes(intents.withdraw_intents)
    record_receipts = writes(receipts.record_receipts)
    record_refusals = writes(intents.record_refusals)
    record_losses = writes(losses.record_losses)
    record_census = writes(census.record_census)

    # Committing
    commit = writes(commits.commit)
    committed_offsets = reads(commits.committed_offsets)

    # What people look at
    overview = reads(overviews.overview)
    counts = reads(listings.counts)
    records = reads(searching.list_records)
    quarantined = reads(listings.quarantined)
    resolve_quarantined = writes(resolving.resolve_quarantined)
    to_keep = reads(keeping.to_keep)
    set_aside_at = reads(keeping.set_aside_at)
    still_set_aside = reads(keeping.still_set_aside)
    unkept = reads(keeping.unkept)
    note_kept = writes(keeping.note_kept)
    count_standing = reads(listings.count_standing)
    standing_bytes = reads(listings.standing_bytes)
    last_batches = reads(listings.last_batches)
    unfinished = reads(listings.unfinished)
    litter_folders = reads(orphans.litter_folders)
    part_fates = reads(orphans.part_fates)

    # What an audit compares
    audited_spans = reads(audits.audited_spans)
    audited_rows = reads(audits.audited_rows)
    counted_ranges = reads(audits.counted_ranges)
    lost_ranges = reads(audits.lost_ranges)
    known_paths = reads(audits.known_paths)
    count_pruned = reads(audits.count_pruned)

    # Replay and recovery; what a person does is recorded with a name
    add_replay = writes(replays.add_replay)
    standing_elsewhere = reads(replays.standing_elsewhere)
    check_replay = reads(replays.check_replay)
    open_replay = reads(asked.open_replay)
    find_replay = reads(asked.find_replay)
    replay_bases = reads(asked.replay_bases)
    replay_changes = reads(comparing.replay_changes)
    stop_replay = writes(stopping.stop_replay)
    resume_replay = writes(stopping.resume_replay)
    replays = reads(asked.list_replays)
    quarantined_ranges = reads(selecting.quarantined_ranges)
    window_ranges = reads(selecting.window_ranges)
    predicted_ranges = reads(selecting.predicted_ranges)
    last_failed_batch = reads(selecting.last_failed_batch)
    renew_epoch = writes(recoveries.renew_epoch)
    record_confirmation = writes(recoveries.record_confirmation)
    record_recovery = takes_names(recoveries.record_recovery)

    # Log-ins
    login_refusal = reads(logins.login_refusal)
    asks_alone = reads(logins.asks_alone)
    note_alone = writes(logins.note_alone)
    renew_login = writes(logins.renew_login)
    end_login = writes(logins.end_login)
    forget_refusal = writes(logins.forget_refusal)
    _try_login = writes(logins.begin_login)

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
        while not self._try_login(digest, owner=owner, lease_seconds=lease_seconds):
            if time.monotonic() >= deadline:
                with self._transactions.read() as connection:
                    raise logins.turn_taken(connection, digest)
            time.sleep(_LOGIN_POLL_SECONDS)

    def release(self, token: Token) -> None:
        """End the lease if it is still ours. Never raises: a lease also ends by itself."""
        with suppress(LedgerUnavailable, LedgerConflict), self._transactions.write() as connection:
            claims.release(connection, token)
