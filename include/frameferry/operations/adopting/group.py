"""Read where a consumer group stopped."""

from __future__ import annotations

from frameferry.domain.adoption import Origin
from frameferry.errors import ConfigError
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.pipeline.context import Context


def read_group(ctx: Context, cluster: Cluster, view: TopicView, group: str) -> Origin:
    """
    Read a group's committed offsets; Kafka drops them with the topic, so they are of today's.

    Raises:
        ConfigError: There is no such group; it has members still, or nothing of this topic; or
            it is the pipeline's own mirror.
        KafkaUnavailable: No broker answered in time.
    """
    topic, source = ctx.settings.kafka.topic, f"consumer group {group!r}"
    if group == ctx.group:
        msg = f"{source} is this pipeline's own mirror, and no other system's"
        raise ConfigError(msg, remedy="Name the group of the system that is to be replaced")
    members = cluster.group_members(group)
    if members is None:
        msg = f"there is no such group: {group!r}"
        remedy = "kafka-consumer-groups.sh --list names them; Kafka Connect's are connect-NAME"
        raise ConfigError(msg, remedy=remedy)
    if members:
        msg = f"{source} is active: it has {members} members, which read on"
        raise ConfigError(msg, remedy="Stop what reads by it, and adopt it then")
    found = cluster.mirrored(group, topic, view.partitions)
    if not found:
        msg = f"{source} has committed nothing of topic {topic}"
        remedy = "Name what read this pipeline's topic. Kafka forgets offsets of an idle group"
        raise ConfigError(msg, remedy=f"{remedy} (offsets.retention.minutes): see --offsets")
    offsets = {partition: offset for partition, (offset, _) in found.items()}
    return Origin(source, offsets, is_of_this_topic=True)
