"""
Ask the witness: is the ledger as old as the world?

Before anything is planned of a partition, and after each commit, the committed offsets are written
to the consumer group, with the epoch and the topic's id beside them. A ledger that finds more there
than it has itself committed is an older copy: a backup that was put back, a replica that was
promoted. Whatever it would do now was done already. A ledger that finds nothing although it must
have written cannot know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from frameferry.domain.offsets import Progress
from frameferry.domain.state import PipelineState
from frameferry.errors import LedgerConflict, LedgerOutdated, WitnessMissing
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world


@dataclass(frozen=True, slots=True)
class Heard:
    """
    What the group holds, whoever wrote it: offset and words, by partition.

    `known` is the ledger as it was before the group was asked: what was begun by then must be in
    the group.
    """

    known: PipelineState
    said: Mapping[int, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Testimony:
    """
    One partition's mirrored offset (the next to commit), with its epoch and generation.

    `at` is when it was written, by the ledger's clock; None if it does not say.
    """

    offset: int
    epoch: str
    generation: int = 1
    at: datetime | None = None


def hear(ctx: Context, known: PipelineState | None = None) -> Heard:
    """
    Read what the consumer group holds for the pipeline's topic.

    Args:
        ctx: The pipeline.
        known: The ledger as it was read a moment ago; None: it is read now.

    Raises:
        KafkaUnavailable: No broker answered in time.
        LedgerConflict: The ledger does not know the pipeline.
    """
    known = known or world.state(ctx)
    with ctx.cluster() as cluster:
        said = cluster.mirrored(ctx.group, ctx.settings.kafka.topic, sorted(known.progress))
    return Heard(known, said)


def understand(known: PipelineState, heard: Heard) -> dict[int, Testimony]:
    """
    Pick out what the group says of the pipeline's topic, by partition.

    It leaves out offsets that say nothing about the ledger: somebody else wrote them, or they were
    written for another topic of the same name, or for a past generation.
    """
    read = {place: _read(offset, words, known) for place, (offset, words) in heard.said.items()}
    return {partition: one for partition, one in read.items() if one is not None}


def refuse_if_older(ctx: Context, known: PipelineState | None = None) -> PipelineState:
    """
    Refuse a ledger that is older than the world, or may be.

    Args:
        ctx: The pipeline.
        known: The ledger as it was read a moment ago; None: it is read now.

    Returns:
        The ledger as it was read and found not to be older.

    Raises:
        LedgerOutdated: Says by how much, and how to recover.
        WitnessMissing: Nobody can tell; a person confirms the ledger, or recovers it.
        KafkaUnavailable: No broker answered in time.
    """
    heard = hear(ctx, known)
    now = world.state(ctx)
    refuse_older(now, heard)
    return now


def refuse_older(known: PipelineState, heard: Heard) -> None:
    """
    Refuse an older ledger by what was heard *before* it was read as *known*.

    In this order, all that the witness tells was committed by then: the ledger may be ahead of it,
    but not behind.

    Raises:
        LedgerOutdated, WitnessMissing: As `refuse_if_older`.
    """
    trouble = trouble_of(known, heard)
    if trouble is not None:
        raise trouble


def objection(ctx: Context, known: PipelineState | None = None) -> LedgerConflict | None:
    """
    Say why nothing may run on this ledger; None if it is as old as the world.

    *known* is the ledger as it was read a moment ago. What the group says may have been committed
    since, so the ledger is read again before anything is said against it, and only then.
    """
    heard = hear(ctx, known)
    if known is not None and trouble_of(known, heard) is None:
        return None
    return trouble_of(world.state(ctx), heard)


def trouble_of(known: PipelineState, heard: Heard) -> LedgerConflict | None:
    """Say what the witness has against the ledger, as `refuse_older` would."""
    recovering = f"Run: frameferry ledger recover {known.name}"
    if known.is_restored:
        what = "the ledger was restored from a backup: what was done since is not in it"
        return LedgerOutdated(what, remedy=recovering, pipeline=known.name)
    ahead = _ahead(known, understand(known, heard))
    if ahead is not None:
        return LedgerOutdated(ahead, remedy=recovering, pipeline=known.name)
    missing = missing_partitions(known, heard)
    return _missing(known, missing) if missing else None


def missing_partitions(known: PipelineState, heard: Heard) -> list[int]:
    """
    List the partitions that are planned in the ledger, but missing in the group.

    It lists none while the generation changes: what was written before is not understood after.
    """
    if heard.known.generation != known.generation:
        return []
    said = understand(heard.known, heard)
    return [
        at for at, mine in sorted(heard.known.progress.items()) if mine.is_begun and at not in said
    ]


def put_in_place(ctx: Context, known: PipelineState, heard: Heard) -> None:
    """
    Mirror the partitions that the group knows nothing of, before anything is planned of them.

    So what was planned has a witness, whatever dies at whatever moment.

    Raises:
        KafkaUnavailable: No answer in time; nothing may be planned yet.
    """
    said = understand(known, heard)
    new = {at: mine for at, mine in known.progress.items() if at not in said}
    if new:
        _write(ctx, known, new)


def testify(ctx: Context, known: PipelineState) -> dict[int, int]:
    """
    Mirror the committed offsets, with the epoch and the topic's id; never from an older ledger.

    Args:
        ctx: The pipeline.
        known: The ledger as it was read a moment ago.

    Returns:
        The committed (next) offset of each partition.

    Raises:
        LedgerOutdated: The mirror knows more than the ledger, and must not forget it.
        WitnessMissing: The mirror is gone: written anew, it would vouch for this ledger.
        TopicChanged: The mirror is gone with its topic.
    """
    try:
        newest = refuse_if_older(ctx, known)
    except WitnessMissing:
        world.observe(ctx)
        raise
    return vouch(ctx, newest)


def vouch(ctx: Context, known: PipelineState | None = None) -> dict[int, int]:
    """
    Mirror the committed offsets whatever the group holds: the ledger is known to be the newest.

    If the next generation begins meanwhile, its words are the last ones written.

    Args:
        ctx: The pipeline.
        known: The ledger as it was read a moment ago; None: it is read now.

    Raises:
        KafkaUnavailable: No answer in time.
    """
    known = known or world.state(ctx)
    while True:
        _write(ctx, known, known.progress)
        written, known = known, world.state(ctx)
        if written.generation == known.generation:
            return {partition: at.committed for partition, at in written.progress.items()}


def is_ahead(known: PipelineState, partition: int, said: Testimony) -> bool:
    """Say whether the mirror knows of commits that neither the ledger nor a recovery knows of."""
    if said.generation > known.generation:
        return True
    return said.offset > _seen_to(known, known.progress[partition])


def _seen_to(known: PipelineState, mine: Progress) -> int:
    """
    Find the offset up to which the ledger, or a recovery, knows what was committed.

    The mirror stays there: if the same backup is restored once more, the witness still knows.
    """
    return max(mine.committed, known.recovered_to.get(mine.partition, 0))


def _write(ctx: Context, known: PipelineState, progress: Mapping[int, Progress]) -> None:
    mirrored = {partition: _seen_to(known, mine) for partition, mine in progress.items()}
    words = {
        "at": known.now.isoformat(),
        "epoch": ctx.ledger.epoch(),
        "topic": known.topic_id,
        "generation": known.generation,
    }
    metadata = json.dumps(words, sort_keys=True)
    with ctx.cluster() as cluster:
        cluster.mirror(ctx.group, ctx.settings.kafka.topic, mirrored, metadata=metadata)


def _ahead(known: PipelineState, said: Mapping[int, Testimony]) -> str | None:
    ahead = [at for at in sorted(said) if at in known.progress and is_ahead(known, at, said[at])]
    if not ahead:
        return None
    places = ", ".join(
        f"{partition}: {said[partition].offset:,} was committed, the ledger has "
        f"{known.progress[partition].committed:,}"
        for partition in ahead
    )
    return (
        "the ledger is older than the world: an older copy of it was put in place, or another "
        f"ledger serves a pipeline of this name; by partition, {places}"
    )


def _missing(known: PipelineState, partitions: list[int]) -> WitnessMissing:
    places = ", ".join(f"{at}: {known.progress[at].committed:,}" for at in partitions)
    what = (
        f"the mirror is gone: consumer group frameferry.{known.name} holds no offset of ours any "
        "more, because it expired (offsets.retention.minutes), or was deleted or reset; so nobody "
        "can tell whether this ledger is the newest; by partition, it has committed up to "
        f"{places}"
    )
    remedy = (
        "If no older copy of the ledger was put in place, run: frameferry ledger confirm "
        f"{known.name} --reason …; if one may have been: frameferry ledger recover {known.name}"
    )
    return WitnessMissing(what, remedy=remedy, pipeline=known.name)


def _read(offset: int, words: str, known: PipelineState) -> Testimony | None:
    try:
        said = json.loads(words)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("topic") != known.topic_id:
        return None
    generation = said.get("generation")
    if not isinstance(generation, int) or generation < known.generation:
        return None
    return Testimony(offset, str(said.get("epoch", "")), generation, _moment(said.get("at")))


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None
