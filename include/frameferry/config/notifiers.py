"""Whom to tell, and by which of Airflow's notifiers: one YAML file for all pipelines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frameferry.config.reading import explained, read_mapping
from frameferry.errors import ConfigError

_DEFAULT = "include/notifiers.yaml"


class NotifierSettings(BaseModel):
    """One notifier: its class, what it is made with, and what it is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notifier: str = Field(
        pattern=r"^([A-Za-z_]\w*\.)+[A-Za-z_]\w*$",
        description="The path of a notifier's class, as "
        "`airflow.providers.smtp.notifications.smtp.SmtpNotifier`.",
    )
    arguments: dict[str, Any] = Field(
        default={},
        description="What it is made with; its templated arguments may use `frameferry`. Secrets "
        "stay in the Airflow connection that it names.",
    )
    tells: tuple[Literal["alarms", "failures"], ...] = Field(
        default=("alarms",),
        min_length=1,
        description="`alarms`: those that are new, and those that are over. `failures`: each run "
        "that fails.",
    )
    severity: Literal["warning", "critical"] = Field(
        default="warning", description="`critical`: only alarms that are."
    )
    pipelines: Literal["all"] | tuple[str, ...] = Field(
        default="all", description="`all`, or a list of pipelines' names."
    )

    def wants_pipeline(self, pipeline: str) -> bool:
        """Say whether it is told of this pipeline."""
        return self.pipelines == "all" or pipeline in self.pipelines


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    notifiers: tuple[NotifierSettings, ...]


def notifiers() -> tuple[NotifierSettings, ...]:
    """
    Read `FRAMEFERRY_NOTIFIERS`, default `include/notifiers.yaml`; none if that is not there.

    Raises:
        ConfigError: The file that the variable names is not there, or a file is wrong.
    """
    named = os.environ.get("FRAMEFERRY_NOTIFIERS")
    path = Path(named or _DEFAULT).absolute()
    if not path.exists() and not named:
        return ()
    content = read_mapping(path)
    try:
        return _File.model_validate(content).notifiers
    except ValidationError as error:
        raise explained(path, content, error) from error


def tells_failures(pipeline: str) -> bool:
    """
    Say whether anybody is told of this pipeline's failed runs.

    True as well if the file is broken: whoever tells then says so.
    """
    try:
        wanted = notifiers()
    except ConfigError:
        return True
    return any("failures" in one.tells and one.wants_pipeline(pipeline) for one in wanted)
