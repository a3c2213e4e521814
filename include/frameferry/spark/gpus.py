"""Show TensorFlow the GPUs that Spark gave it, and no others of the machine."""

from __future__ import annotations

import os

from pyspark import TaskContext  # noqa: TID253 - this runs under Spark only

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def pin_gpus() -> None:
    """
    Hide all GPUs but those of this worker's first task; do nothing where Spark counts none.

    TensorFlow looks for them once, at its first use. An executor has as many as one task takes, so
    a warm worker's later tasks have the same ones.
    """
    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context is not None else None
    if gpus is not None:
        os.environ.setdefault(_VISIBLE, ",".join(gpus.addresses))
