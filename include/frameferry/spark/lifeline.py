"""Between a submitter and its driver: that the job began, that it failed, that either is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import psutil

SUBMITTER_VARIABLE = "FRAMEFERRY_SUBMITTER"
"""Tells a driver on this machine which process waits for its rows."""
_WATCH_SECONDS = 2.0
_SILENCE_SECONDS = 60.0
"""After so long without a sign of the submitter, a driver on another machine ends."""


def beginning(job_file: Path) -> Path:
    """Name the file that says: Spark is there, an executor took a task, and the job begins."""
    return job_file.with_name(f"{job_file.name}.begun")


def tell_it_began(job_file: Path) -> None:
    """Tell the submitter that Spark is there and the job begins."""
    with suppress(OSError):  # submitted by hand, from a folder that is not ours to write
        beginning(job_file).touch()


def last_trace(job_file: Path) -> str | None:
    """Return the traceback with which the driver ended; None if it left none."""
    try:
        return _failure(job_file).read_text(encoding="utf-8")
    except OSError:
        return None


def tell_of_failure(job_file: Path) -> None:
    """Have the traceback with which this process ends written beside its job."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        with suppress(OSError):
            whole = "".join(traceback.format_exception(kind, error, trace))
            _failure(job_file).write_text(whole, encoding="utf-8")
        usual(kind, error, trace)

    sys.excepthook = hook


@contextmanager
def signs_of_life(job_file: Path) -> Iterator[None]:
    """Show a driver on another machine that its submitter lives, for the length of the block."""
    sign, over = _sign(job_file), threading.Event()
    sign.touch()

    def show() -> None:
        while not over.wait(_WATCH_SECONDS):
            with suppress(OSError):
                sign.touch()

    thread = threading.Thread(target=show, daemon=True, name="frameferry-signs-of-life")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def end_with_submitter(job_file: Path) -> None:
    """
    End this driver and its whole process group when its submitter is gone.

    Otherwise a killed task would leave a Spark application behind, for ever if a picture never
    returns. Does nothing in a driver that a person submitted by hand.
    """
    submitter, sign = os.environ.get(SUBMITTER_VARIABLE), _sign(job_file)
    if submitter is not None:
        _watch(lambda: psutil.pid_exists(int(submitter)))
    elif sign.exists():
        _watch(_Signs(sign).are_fresh)


class _Signs:
    """The signs of life of a submitter elsewhere, by our own clock: two machines' may differ."""

    def __init__(self, sign: Path) -> None:
        self._sign = sign
        self._last, self._changed = 0.0, time.monotonic()

    def are_fresh(self) -> bool:
        try:
            latest = self._sign.stat().st_mtime
        except OSError:
            latest = self._last
        if latest != self._last:
            self._last, self._changed = latest, time.monotonic()
        return time.monotonic() - self._changed < _SILENCE_SECONDS


def _watch(is_there: Callable[[], bool]) -> None:
    def wait() -> None:
        tick = threading.Event()
        while is_there():
            tick.wait(_WATCH_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True, name="frameferry-lifeline").start()


def _failure(job_file: Path) -> Path:
    return job_file.with_name(f"{job_file.name}.failed")


def _sign(job_file: Path) -> Path:
    return job_file.with_name(f"{job_file.name}.awaited")
