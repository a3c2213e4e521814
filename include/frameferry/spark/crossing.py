"""How an error of ours crosses Spark: raised on a worker, raised again where the job was asked."""

from __future__ import annotations

import json
import re

import frameferry.errors
from frameferry.errors import FrameferryError

_MARK = "frameferry-error "
_LINE = re.compile(rf"{_MARK}(?P<content>\{{.*\}})")


class WorkerError(Exception):
    """
    Carry an error of ours through Spark, which hands on nothing but text.

    Its message is one line of JSON, so that kind, words and coordinates arrive as they were.
    """

    def __init__(self, error: FrameferryError) -> None:
        content = {
            "kind": type(error).__name__,
            "what": error.what,
            "remedy": error.remedy,
            "where": error.where,
        }
        super().__init__(f"{_MARK}{json.dumps(content)}")


def crossed(text: str) -> FrameferryError | None:
    """
    Find the error of ours in what Spark says of a failed job.

    Returns:
        None if no worker raised one, or its line did not arrive whole.
    """
    found = _LINE.search(text)
    if found is None:
        return None
    try:
        content = json.loads(found["content"])
    except ValueError:
        return None
    kind = getattr(frameferry.errors, content["kind"])
    error: FrameferryError = kind(content["what"], remedy=content["remedy"], **content["where"])
    return error
