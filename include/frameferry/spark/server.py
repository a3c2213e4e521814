"""Look at the settings of a Spark Connect server that others started, and say what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from frameferry.config.connections import SparkConnection
from frameferry.spark.reach import probe

DAEMON = "frameferry.spark.daemon"
_ROW_BYTES = 1024
"""A generous bound for a picture's row on its way to the driver."""
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


class _Wish(NamedTuple):
    """A setting, whether its value will do, what to set and why."""

    name: str
    will_do: Callable[[str | None], bool]
    wanted: str
    why: str


_WISHES = (
    _Wish(
        "spark.connect.session.manager.defaultSessionTimeout",
        lambda value: (value or "60m").startswith("-"),
        "-1",
        "after an hour without work the session ends, and the next batch loads the model again",
    ),
    _Wish(
        "spark.python.daemon.module",
        lambda value: value == DAEMON,
        DAEMON,
        "each worker imports TensorFlow for itself: seconds and 500 MB more, and no bound to what "
        "a leaking model takes",
    ),
    _Wish(
        "spark.python.worker.reuse",
        lambda value: value != "false",
        "true",
        "every task imports TensorFlow and loads the model",
    ),
    _Wish(
        "spark.scheduler.mode",
        lambda value: (value or "").upper() == "FAIR",
        "FAIR, and in spark.scheduler.allocation.file a pool named default of mode FAIR",
        "a few pictures of one pipeline wait for the whole batch of another",
    ),
    _Wish(
        "spark.executor.pyspark.memory",
        lambda value: value is None,
        "nothing",
        "it limits address space, of which TensorFlow takes far more than memory",
    ),
)


def server_advice(connection: SparkConnection, *, max_records: int) -> list[str]:
    """
    Say which settings of a Spark Connect server to change, and why; nothing for other masters.

    Args:
        connection: The server is asked, and nothing is run on it.
        max_records: Pictures in the largest batch; the driver takes their rows at once.

    Raises:
        SparkUnavailable: The server does not answer.
    """
    if not connection.is_connect:
        return []
    probe(connection.url)
    # It imports grpc and pandas, which takes seconds: too slow for a DAG's parsing.
    from frameferry.spark.session import server_settings  # noqa: PLC0415

    names = [*(wish.name for wish in _WISHES), "spark.driver.maxResultSize"]
    return advice(server_settings(connection, names), max_records=max_records)


def advice(settings: Mapping[str, str | None], *, max_records: int) -> list[str]:
    """Compare a server's settings (None if unset) with what judging needs."""
    found = [
        f"set {wish.name} to {wish.wanted} (it is {settings.get(wish.name) or 'not set'}): "
        f"{wish.why}"
        for wish in _WISHES
        if not wish.will_do(settings.get(wish.name))
    ]
    needed, allowed = max_records * _ROW_BYTES, settings.get("spark.driver.maxResultSize")
    if allowed is not None and 0 < _in_bytes(allowed) < needed:
        found.append(
            f"set spark.driver.maxResultSize to {-(-needed // 2**20)}m (it is {allowed}): the rows "
            f"of {max_records:,} pictures may be larger, and such a batch is cut in halves"
        )
    return found


def _in_bytes(size: str) -> int:
    """Read a size as Spark writes it: `64m`, `1gb`, a bare number is bytes."""
    text = size.strip().lower().removesuffix("b")
    unit = text[-1:] if text[-1:] in _UNITS else "b"
    return int(text.removesuffix(unit) or 0) * _UNITS[unit]
