"""Carry our errors through Spark: raised on a worker, raised again where the job was asked for."""

from __future__ import annotations

import json

from frameferry.errors import FrameferryError, revived

_MARK = "frameferry-error "
_OPENING = '{"kind": '
"""Follows a real mark only: after a mark quoted within the JSON, the quotes are escaped."""


class WorkerError(Exception):
    """
    Carry an error of ours through Spark, which hands on nothing but text.

    Its message is one line: a mark, and the error's content as JSON.
    """

    def __init__(self, error: FrameferryError) -> None:
        super().__init__(f"{_MARK}{json.dumps(error.content())}")


def crossed(text: str) -> FrameferryError | None:
    """
    Find the error of ours in what Spark says about a failed job.

    Returns:
        None if no worker raised one, or its line did not arrive whole. A ConfigError if another
        version of Frameferry raised it (see `revived`).
    """
    decoder = json.JSONDecoder()
    for behind in text.split(_MARK + _OPENING)[1:]:
        try:
            return revived(decoder.raw_decode(_OPENING + behind)[0])
        except ValueError:
            continue
    return None
