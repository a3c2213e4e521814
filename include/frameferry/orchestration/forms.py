"""What the DAGs with a form share: the pipelines to choose from, and carrying what was planned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Param, TriggerRule, get_current_context, task

from frameferry.config.folder import find_pipeline, load_all
from frameferry.config.home import pipelines_folder
from frameferry.config.pools import REPLAY_SPARK_POOL, replay_ftp_pool
from frameferry.config.settings import PipelineSettings
from frameferry.domain.records import sha256_hex
from frameferry.errors import ConfigError
from frameferry.orchestration.factory import batch_steps
from frameferry.orchestration.tasks import airflow_errors

NAME = "{{ params.pipeline }}"
"""The pipeline that a person chose, where a task's argument is rendered."""
EMPTY = (None, "")
"""What a field holds that nobody filled in."""
_NOT_IN_KEYS = re.compile(r"[^\w-]", re.ASCII)
_KEY_CHARACTERS = 100
_NO_PIPELINE = "(no pipeline)"
_MOMENT = r"^\s*([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+\s*(Z|[+-][0-9]{2}:?[0-9]{2}))?\s*$"
"""What a form lets through, which may be an empty text; the first task reads it again."""


def pipelines() -> list[PipelineSettings]:
    """List the pipelines whose files are whole; none if there is no folder of them."""
    try:
        whole, _ = load_all(pipelines_folder())
    except ConfigError:
        return []
    return list(whole.values())


def pipeline_field(offered: Iterable[PipelineSettings]) -> Param:
    """Make the field by which a person chooses one of these pipelines."""
    names = [settings.pipeline for settings in offered] or [_NO_PIPELINE]
    return Param(names[0], type="string", enum=names, title="Pipeline")


def window_fields(since: str, **more: Any) -> dict[str, Param]:  # noqa: ANN401 - Airflow's own
    """Make the fields of a window of time, either of which may be empty; *since* describes it."""
    one: dict[str, Any] = {"type": ["null", "string"], "pattern": _MOMENT, **more}
    said = f"{since}; for instance 2026-05-01T06:00:00Z."
    return {
        "since": Param(None, title="Since", description=said, **one),
        "until": Param(None, title="Until", description="Exclusive.", **one),
    }


def carried(offered: list[PipelineSettings], batch_ids: Any) -> list[Any]:  # noqa: ANN401 - an XCom
    """Wire the steps of the batches that a task plans: a group for each FTP server."""
    return [
        batch_steps(
            NAME,
            settings,
            group_id=f"batches_{_key(connection)}",
            judge_pool=REPLAY_SPARK_POOL,
            pool_of=replay_ftp_pool,
        ).expand(
            batch_id=choose.override(task_id=f"choose_{_key(connection)}")(batch_ids, connection)
        )
        for connection, settings in _by_connection(offered).items()
    ]


@task(trigger_rule=TriggerRule.ALL_SUCCESS)
def choose(batch_ids: list[int], connection: str) -> list[int]:
    """Return the batches if the pipeline delivers by this connection, otherwise none."""
    name = get_current_context()["params"]["pipeline"]
    with airflow_errors():
        mine = find_pipeline(pipelines_folder(), name).deliver.connection == connection
    return batch_ids if mine else []


def refuse_unknown(form: str, fields: Iterable[str], conf: Mapping[str, Any]) -> None:
    """
    Refuse fields that a form does not have: Airflow passes them on without a word.

    Raises:
        ConfigError: Names them.
    """
    unknown = sorted(set(conf) - set(fields))
    if unknown:
        msg = f"the {form} form has no field {', '.join(unknown)}"
        raise ConfigError(msg, remedy=f"Use: {', '.join(sorted(fields))}")


def _by_connection(offered: list[PipelineSettings]) -> dict[str, PipelineSettings]:
    """
    Make one group per FTP server: a task's pool and its slots are fixed when the file is parsed.

    The slots are those of the pipeline that opens the most connections.
    """
    by_need = sorted(offered, key=lambda settings: settings.deliver.connections)
    return {settings.deliver.connection: settings for settings in by_need}


def _key(connection: str) -> str:
    """Name a server in an Airflow id, which is shorter and allows fewer kinds of characters."""
    key = _NOT_IN_KEYS.sub("_", connection)[:_KEY_CHARACTERS]
    return key if key == connection else f"{key}_{sha256_hex(connection.encode())[:8]}"
