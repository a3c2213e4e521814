"""When deep pipelining is taken back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest

from frameferry.delivery.caution import Caution
from frameferry.errors import FtpUnavailable


@dataclass
class Upload:
    """As much of a connection as matters here, with what came of one upload."""

    depth: str = "deep"
    missed_address: bool = False


def come_of(letter: str) -> None:
    if letter != ".":
        msg = "cut off"
        raise FtpUnavailable(msg)


def depth_after(story: str) -> str:
    """Make uploads: . works, ! fails, ? fails at an address that led nowhere."""
    caution = Caution()
    for letter in story:
        upload = Upload(missed_address=letter == "?")
        with suppress(FtpUnavailable), caution.over(upload):  # type: ignore[arg-type]
            come_of(letter)
    last = Upload()
    with caution.over(last):  # type: ignore[arg-type]
        return last.depth


@pytest.mark.parametrize("story", ["!!!", ".!.!.!", "." * 300 + "!" * 22, "!..!..!"])
def test_deep_is_taken_back_where_uploads_fail_again_and_again(story: str) -> None:
    assert "safe" == depth_after(story)


@pytest.mark.parametrize("story", ["", "!!", ".!!", "!" + "." * 9 + "!" + "." * 9 + "!", "??????"])
def test_deep_stays_where_few_fail_or_for_another_reason(story: str) -> None:
    assert "deep" == depth_after(story)
