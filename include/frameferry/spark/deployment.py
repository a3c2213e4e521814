"""What an application takes along to its executors, as options of spark-submit."""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from frameferry.config.connections import SparkConnection
from frameferry.config.deployment import Deployment
from frameferry.errors import ConfigError
from frameferry.inference.card import FoundModel, find_model
from frameferry.inference.digest import content_digest
from frameferry.spark.job import ControlJob, JudgeJob

_SHORT_DIGEST = 16
_ARCHIVES = "spark.archives"


def check_deployment(connection: SparkConnection) -> None:
    """
    Check that what is to be sent to a cluster is on this machine.

    Raises:
        ConfigError: A file or the shared folder is not there.
    """
    deployment = connection.deployment
    folder = [] if deployment.folder is None else [deployment.folder]
    missing = [one for one in (*deployment.local_files, *folder) if not Path(one).exists()]
    if missing:
        msg = f"connection {connection.conn_id!r}: there is no {' and no '.join(missing)} here"
        remedy = "Make it as docs/clusters.md says, or mend the connection's extra"
        raise ConfigError(msg, remedy=remedy)


def deployment_conf(deployment: Deployment, *, is_yarn: bool) -> dict[str, str]:
    """List the options that bring Python, code, archives and GPUs to the executors."""
    return {
        "spark.submit.deployMode": deployment.deploy_mode,
        **_python(deployment),
        **_modules(deployment.py_files, is_yarn=is_yarn),
        **({_ARCHIVES: ",".join(deployment.archives)} if deployment.archives else {}),
        # The driver on YARN is not begun anew by YARN: the ledger says when a batch is tried again.
        **({"spark.yarn.maxAppAttempts": "1"} if deployment.deploy_mode == "cluster" else {}),
        **gpu_conf(deployment.gpus_per_task),
    }


def gpu_conf(gpus_per_task: float | None) -> dict[str, str]:
    """
    Ask for GPUs: the share of a task, and as many in an executor as that needs.

    TensorFlow takes all of a GPU's memory at its first use unless it is told to grow: of two
    workers on one GPU the second would find none left.
    """
    if gpus_per_task is None:
        return {}
    return {
        "spark.task.resource.gpu.amount": f"{gpus_per_task:g}",
        "spark.executor.resource.gpu.amount": str(math.ceil(gpus_per_task)),
        "spark.executorEnv.TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def with_archive(conf: dict[str, str], archive: str) -> dict[str, str]:
    """Add an archive to those that the options name already."""
    return {**conf, _ARCHIVES: ",".join(filter(None, [conf.get(_ARCHIVES), archive]))}


def takes_model(job: JudgeJob | ControlJob, connection: SparkConnection) -> bool:
    """Say whether a model travels; a class of yours is code, and comes as `py_files` do."""
    judging = job.of if isinstance(job, ControlJob) else job
    is_asked = connection.deployment.ship_model and not connection.is_local
    return is_asked and judging.model.judge is None


def packed_model(job: JudgeJob | ControlJob, folder: Path) -> tuple[JudgeJob | ControlJob, str]:
    """
    Pack the job's model, with its card, into an archive in *folder*.

    The archive is named by the model's content, so that no executor takes an old one for it.

    Returns:
        The job, whose model is where the archive will be unpacked; and the archive, as Spark's
        options name it.

    Raises:
        ModelMismatch: There is no model here.
    """
    judging = job.of if isinstance(job, ControlJob) else job
    found = find_model(judging.model.name)
    name = f"frameferry-model-{content_digest(found)[:_SHORT_DIGEST]}"
    root = found.path.parent if found.card_path is None else found.card_path.parent
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in _files(found):
            packed.write(file, file.relative_to(root))
    path = found.path if found.card_path is None else root
    model = judging.model.model_copy(update={"path": str(Path(name) / path.relative_to(root))})
    moved = replace(judging, model=model)
    return (ControlJob(moved) if isinstance(job, ControlJob) else moved), f"{archive}#{name}"


def _files(found: FoundModel) -> Iterable[Path]:
    places = [found.path]
    if found.card_path is not None:
        folder = found.card_path.parent
        beside = [one.picture for one in found.card.control]
        for each in found.card.parity:
            beside += filter(None, [each.picture, each.inputs, each.outputs])
        places += [found.card_path, *(folder / name for name in beside)]
    inside = (
        file for place in places for file in ([place] if place.is_file() else place.rglob("*"))
    )
    return sorted({file for file in inside if file.is_file()})


def _python(deployment: Deployment) -> dict[str, str]:
    if deployment.python is None:
        return {}
    conf = {"spark.pyspark.python": deployment.python}
    if deployment.deploy_mode == "client":
        conf["spark.pyspark.driver.python"] = sys.executable
    return conf


def _modules(py_files: tuple[str, ...], *, is_yarn: bool) -> dict[str, str]:
    if not py_files:
        return {}
    conf = {"spark.submit.pyFiles": ",".join(py_files)}
    if not is_yarn:
        # Spark tells workers of these files when they have begun; the daemon, which is ours, is
        # begun before that. YARN sets this by itself.
        names = ":".join(Path(one).name for one in py_files)
        conf["spark.executorEnv.PYTHONPATH"] = names
    return conf
