"""Frameferry's side: the command `frameferry run PIPELINE --until-caught-up`, process kept warm."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.pipeline.programs import Errand, claim_answers, serve
from frameferry.cli.main import main as frameferry


def carry(errand: Errand) -> Mapping[str, Any]:
    """Run the command as a shell would; it returns once everything is committed."""
    sys.argv = ["frameferry", "run", errand["pipeline"], "--until-caught-up"]
    try:
        frameferry()
    except SystemExit as end:
        if end.code:
            raise
    return {}


if __name__ == "__main__":
    claim_answers()
    serve(carry)
