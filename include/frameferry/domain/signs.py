"""What a look at an installation shows: signs, each ok, a warning or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad a sign is."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Sign:
    """
    One thing that was looked at.

    `question` names what was asked, `about` of whom: a connection, a pipeline, a folder; empty for
    this machine. `remedy` says what to do; empty where all is well.
    """

    question: str
    about: str
    verdict: Verdict
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A sign before it is known whom it is about."""

    verdict: Verdict
    seen: str
    remedy: str = ""


def fine(seen: str) -> Answer:
    """Say that all is well."""
    return Answer(Verdict.OK, seen)


def warning(seen: str, remedy: str) -> Answer:
    """Say what works, and should be known or changed."""
    return Answer(Verdict.WARN, seen, remedy)


def wrong(seen: str, remedy: str) -> Answer:
    """Say what keeps a pipeline from working."""
    return Answer(Verdict.WRONG, seen, remedy)


def worst(signs: tuple[Sign, ...]) -> Verdict:
    """Name the worst verdict; ok if there is no sign."""
    order = list(Verdict)
    return max((one.verdict for one in signs), key=order.index, default=Verdict.OK)
