"""Ask many questions, a few at once, each in bounded time; none that fails hides another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from frameferry.domain.signs import Answer, Sign, Verdict, wrong
from frameferry.errors import FrameferryError

AT_ONCE: Final = 8
_USUAL: Final = "Look at the connection, and at the server's own log"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and of whom; `ask` yields answers as they come."""

    name: str
    about: str
    ask: Callable[[], Iterable[Answer]]


@dataclass
class _Asked:
    """A question on its way, in a thread that never keeps the process from ending."""

    question: Question
    answers: list[Answer] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="frameferry-doctor").start()

    def _run(self) -> None:
        try:
            for answer in self.question.ask():
                self.answers.append(answer)
        except FrameferryError as error:
            self.answers.append(wrong(str(error.what), error.remedy))
        except Exception as error:
            # One question must not hide the others; the error's text may hold a secret.
            log.exception("doctor.failed", question=self.question.name, about=self.question.about)
            what = f"{type(error).__name__} while it was asked; see the log"
            self.answers.append(wrong(what, "This should be reported"))
        finally:
            self.done.set()

    def signs(self, seconds: float) -> Iterator[Sign]:
        is_done = self.done.wait(max(seconds, 0))
        given = list(self.answers)
        if not is_done:
            given.append(wrong("gave no answer in time", "See whether it is up, busy or cut off"))
        for one in given:
            remedy = one.remedy or ("" if one.verdict is Verdict.OK else _USUAL)
            yield Sign(self.question.name, self.question.about, one.verdict, one.seen, remedy)


def ask_all(questions: Sequence[Question], *, seconds: float) -> Iterator[Sign]:
    """
    Ask, eight at once; give the signs in the questions' order, as they come.

    Args:
        questions: What to ask. One that gives no answer in time is left behind, and says so.
        seconds: What each may take; eight take as long together.
    """
    for start in range(0, len(questions), AT_ONCE):
        asked = [_Asked(one) for one in questions[start : start + AT_ONCE]]
        for one in asked:
            one.begin()
        ends = time.monotonic() + seconds
        for one in asked:
            yield from one.signs(ends - time.monotonic())
