"""
The parent of a Spark server's Python workers: it imports TensorFlow before it forks them.

Set `spark.python.daemon.module` to this module. A worker then starts in milliseconds instead of
seconds, and all workers share the memory that importing takes. TensorFlow must not run before the
fork: only its modules are loaded here, and it starts its threads at its first use.

A worker lives as long as there is work, so a model that leaks would fill the machine. A worker that
has grown too large after a task replaces itself with a new program. Process and socket stay the
same, so Spark, which may send the next task at any moment, sees no difference.
"""

from __future__ import annotations

import gc
import os
import socket
import sys

import psutil
from pyspark import daemon  # noqa: TID253 - this file runs under Spark only

from frameferry.config.memory import bound_arenas
from frameferry.inference.network import preload

LIMIT_VARIABLE = "FRAMEFERRY_WORKER_BYTES"
"""A worker with more resident bytes after a task starts anew; set as `spark.executorEnv.…`."""
_DEFAULT_LIMIT_BYTES = 2 * 1024**3
_serve_task = daemon.worker


def main() -> None:
    """Import what workers need, then serve as pyspark's own daemon does."""
    bound_arenas()
    preload()
    import frameferry.spark.worker  # noqa: F401, PLC0415 - for the workers

    # The collector would touch, and so copy, the pages of what exists now.
    gc.freeze()
    daemon.worker = _serve_task_within_limit
    daemon.manager()


def go_on(descriptor: int) -> None:
    """Serve the tasks of a worker that became too large, on its socket."""
    with socket.socket(fileno=descriptor) as connection:
        while _serve_task_within_limit(connection, True) == 0:  # noqa: FBT003 - pyspark's own signature
            gc.collect()


def _serve_task_within_limit(connection: socket.socket, authenticated: bool) -> int:  # noqa: FBT001
    """
    Serve one task, then replace the program if it is too large.

    Between two tasks Spark has not sent anything that could get lost.
    """
    code: int = _serve_task(connection, authenticated)
    if code == 0 and _is_too_large():
        os.set_inheritable(connection.fileno(), True)  # noqa: FBT003
        argv = [sys.executable, "-m", __spec__.name, str(connection.fileno())]
        os.execv(sys.executable, argv)  # noqa: S606 - this very module
    return code


def _is_too_large() -> bool:
    limit = int(os.environ.get(LIMIT_VARIABLE, _DEFAULT_LIMIT_BYTES))
    return bool(psutil.Process().memory_info().rss > limit)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].isdigit():
        go_on(int(sys.argv[1]))
    else:
        main()
