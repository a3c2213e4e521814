"""docs/recovery.md explains every reason for quarantine that the code can give."""

from __future__ import annotations

import re
from pathlib import Path

from frameferry.inference.undecodable import Reason
from frameferry.ledger.records.predictions import NAME_TAKEN
from frameferry.pipeline.judge.judging import EMPTY, ILLEGAL_NAME

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/recovery.md").read_text(encoding="utf-8")


def explained() -> set[str]:
    table = PAGE[PAGE.index("### Pictures in quarantine") :].split("\n\n")[2]
    return {reason for row in table.splitlines() for reason in re.findall(r"`([^`.]+)`", row)}


def refusals() -> set[str]:
    """Find the reasons that delivery gives, as its source writes them."""
    sources = (ROOT / "include/frameferry/delivery").glob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    verbs = set(re.findall(r'what="(\w+)"', source))
    return {f"{verb} refused" for verb in verbs} | {
        *re.findall(r'Refusal\(\w+\.record_id, "([^"]+)"', source)
    }


def test_every_reason_of_the_judge_is_explained() -> None:
    assert {reason.value for reason in Reason} | {NAME_TAKEN, ILLEGAL_NAME, EMPTY} <= explained()


def test_every_reason_of_the_delivery_is_explained() -> None:
    assert refusals() >= {"upload refused", "rename refused", "unsafe name"}
    assert refusals() <= explained()
