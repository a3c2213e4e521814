"""
Ask the witness: is the ledger as old as the world?

`publish` writes the committed offsets to the consumer group, with the epoch and the topic's id
beside them. A ledger that finds more in there than it has itself committed is an older copy: a
backup that was put back, a replica that was promoted. Whatever it would do now was done already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from frameferry.domain.state import PipelineState
from frameferry.errors import LedgerOutdated
from frameferry.pipeline import world
from frameferry.pipeline.context import Context

Heard = Mapping[int, tuple[int, str]]
"""What the group holds: offset and words, by partition."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """One partition's mirrored offset (the next to commit), the epoch and generation of then."""

    offset: int
    epoch: str
    generation: int = 1


def hear(ctx: Context, partitions: Iterable[int]) -> Heard:
    """
    Read what the consumer group holds for the pipeline's topic, whoever wrote it.

    Raises:
        KafkaUnavailable: No broker answered in time.
    """
    with ctx.cluster() as cluster:
        return cluster.mirrored(ctx.group, ctx.settings.kafka.topic, sorted(partitions))


def listen(ctx: Context, known: PipelineState) -> dict[int, Testimony]:
    """
    Read what the consumer group says of the pipeline's topic, by partition.

    Offsets that somebody else wrote, or that were written for another topic of the same name or
    for a generation that was left since, say nothing about the ledger.

    Raises:
        KafkaUnavailable: No broker answered in time.
    """
    return _understood(known, hear(ctx, known.progress))


def refuse_if_older(ctx: Context) -> None:
    """
    Let nothing run on a ledger that is older than the world.

    Raises:
        LedgerOutdated: Says by how much, and how to recover.
        KafkaUnavailable: No broker answered in time.
    """
    heard = _heard(ctx)
    refuse_older(ctx, world.state(ctx), heard)


def refuse_older(ctx: Context, known: PipelineState, heard: Heard) -> None:
    """
    Do the same with what was heard *before* the ledger was read as *known*.

    In this order, what the witness says was committed by then, so that the ledger may be further,
    but not less far.

    Raises:
        LedgerOutdated: Says by how much, and how to recover.
    """
    trouble = _objection(known, heard)
    if trouble is not None:
        remedy = f"Run: frameferry ledger recover {ctx.pipeline}"
        raise LedgerOutdated(trouble, remedy=remedy, pipeline=ctx.pipeline)


def objection(ctx: Context) -> str | None:
    """Say why nothing may run on this ledger; None where it is as old as the world."""
    heard = _heard(ctx)
    return _objection(world.state(ctx), heard)


def _heard(ctx: Context) -> Heard:
    return hear(ctx, ctx.ledger.committed_offsets(ctx.pipeline))


def _objection(known: PipelineState, heard: Heard) -> str | None:
    if known.is_restored:
        return "the ledger was restored from a backup: what was done since is not in it"
    return _ahead(known, _understood(known, heard))


def _understood(known: PipelineState, heard: Heard) -> dict[int, Testimony]:
    read = {partition: _read(offset, words, known) for partition, (offset, words) in heard.items()}
    return {partition: one for partition, one in read.items() if one is not None}


def testify(ctx: Context) -> dict[int, int]:
    """
    Mirror the committed offsets, with the epoch and the topic's id; never on an older ledger.

    Below the offset to which a recovery has looked, the mirror stays there: were the same backup
    restored once more, the witness would still know.

    Raises:
        LedgerOutdated: The mirror knows more than the ledger: it must not forget it.
    """
    refuse_if_older(ctx)
    known = world.state(ctx)
    committed = {partition: at.committed for partition, at in known.progress.items()}
    mirrored = {
        partition: max(offset, known.recovered_to.get(partition, 0))
        for partition, offset in committed.items()
    }
    words = json.dumps(
        {
            "epoch": ctx.ledger.epoch(),
            "topic": known.topic_id,
            "generation": known.generation,
        },
        sort_keys=True,
    )
    with ctx.cluster() as cluster:
        cluster.mirror(ctx.group, ctx.settings.kafka.topic, mirrored, metadata=words)
    return committed


def is_ahead(known: PipelineState, partition: int, said: Testimony) -> bool:
    """Say whether the mirror knows of commits that neither the ledger nor a recovery knows of."""
    if said.generation > known.generation:
        return True
    seen = max(known.progress[partition].committed, known.recovered_to.get(partition, 0))
    return said.offset > seen


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
    return Testimony(offset, str(said.get("epoch", "")), generation)
