"""How a Spark application reaches the machines of a cluster: mode, Python, code, model, GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_AIRFLOWS_WORDS = {"deploy-mode": "deploy_mode"}
_AIRFLOWS_OPTIONS = {
    "queue": "spark.yarn.queue",
    "namespace": "spark.kubernetes.namespace",
    "principal": "spark.kerberos.principal",
}
"""What the fields of Airflow's own form are to Spark."""
_AIRFLOWS_OWN = frozenset({"spark-binary", "rest-scheme", "rest-port", "use_ssl", "user_id"})
"""Read by Airflow's operators alone; a connection may be theirs, too."""


class Deployment(BaseModel):
    """What `spark-submit` takes along to a cluster; a Spark Connect server has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deploy_mode: Literal["client", "cluster"] = Field(
        "client",
        description="Where the driver runs: here, or on the cluster (YARN only). `deploy-mode`, as "
        "Airflow writes it, means the same.",
    )
    folder: str | None = Field(
        None,
        description="Needed by `cluster`: an absolute folder that this machine and the cluster's "
        "both see, and that the cluster's user may write. Jobs and rows pass through it.",
    )
    python: str | None = Field(
        None,
        description="The Python of the executors: an absolute path on their machines, or "
        "`./NAME/bin/python` in an archive `…#NAME`. By default the path of this one.",
    )
    py_files: tuple[str, ...] = Field(
        (), description="Zip files that the executors' Python finds modules in, as this package."
    )
    archives: tuple[str, ...] = Field(
        (),
        description="Archives that are unpacked beside each executor, as `env.tar.gz#NAME`: a "
        "packed environment.",
    )
    ship_model: bool = Field(
        default=False,
        description="`true`: the model travels with each application; otherwise all machines see "
        "`model.path`.",
    )
    gpus_per_task: float | None = Field(
        None,
        gt=0,
        description="GPUs, or the share of one, that a task takes; an executor has one, or as many "
        "as a task takes.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.deploy_mode == "cluster" and not PurePosixPath(self.folder or "").is_absolute():
            msg = "deploy_mode cluster needs folder: an absolute path that all machines see"
            raise ValueError(msg)
        if nameless := [one for one in self.archives if not _name(one)]:
            msg = f"archives: write {nameless[0]} as {nameless[0]}#NAME"
            raise ValueError(msg)
        if self.python and not self._has_python(PurePosixPath(self.python)):
            msg = (
                f"python: {self.python} is neither absolute nor in an archive "
                f"(there are {', '.join(map(_name, self.archives)) or 'none'})"
            )
            raise ValueError(msg)
        return self

    def _has_python(self, python: PurePosixPath) -> bool:
        return python.is_absolute() or python.parts[0] in set(map(_name, self.archives))

    @property
    def local_files(self) -> tuple[str, ...]:
        """The files that must be on this machine; those with a scheme are the cluster's matter."""
        named = (*self.py_files, *(one.rpartition("#")[0] for one in self.archives))
        return tuple(one for one in named if "://" not in one)


def spark_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    Take a Spark connection's extra by name: `conf`, and the fields of its `deployment`.

    Whoever misspells `archives` must not have to wait for a worker to say so.

    Raises:
        ValueError: A key is unknown.
    """
    named = {
        _AIRFLOWS_WORDS.get(key, key): value
        for key, value in extra.items()
        if key not in {"token", *_AIRFLOWS_OWN} and not key.startswith("extra__") and value != ""
    }
    conf = named.pop("conf", {})
    options = {_AIRFLOWS_OPTIONS[key]: named.pop(key) for key in {*named} & {*_AIRFLOWS_OPTIONS}}
    if unknown := sorted(set(named) - set(Deployment.model_fields)):
        known = sorted({"conf", "token", *_AIRFLOWS_OPTIONS, *Deployment.model_fields})
        msg = f"its extra holds the unknown key {', '.join(unknown)} (known: {', '.join(known)})"
        raise ValueError(msg)
    return {"conf": {**options, **conf} if isinstance(conf, dict) else conf, "deployment": named}


def _name(archive: str) -> str:
    path, _, name = archive.rpartition("#")
    return name if path else ""
