from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fixtures.page import settings_of, status_of

from frameferry.domain.status import Status, Unasked
from frameferry.errors import LedgerUnavailable
from frameferry.page.survey import Surveyor

if TYPE_CHECKING:
    from frameferry.config.settings import PipelineSettings
    from frameferry.page.survey import Load


def loading(*names: str) -> Load:
    return lambda: ({Path(f"{name}.yaml"): settings_of(name) for name in names}, {})


def test_all_pipelines_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def ask(settings: PipelineSettings) -> Status:
        together.wait()
        return status_of(settings.pipeline)

    found = Surveyor(ask, load=loading("c", "a", "b")).survey()
    assert [one.pipeline for one in found.pipelines] == ["a", "b", "c"]


def test_a_pipeline_that_hangs_holds_nobody_up_and_is_not_asked_twice() -> None:
    asked: list[str] = []
    release = threading.Event()

    def ask(settings: PipelineSettings) -> Status:
        asked.append(settings.pipeline)
        if settings.pipeline == "slow":
            release.wait(10)
        return status_of(settings.pipeline)

    surveyor = Surveyor(ask, load=loading("fast", "slow"), patience_seconds=0.3, fresh_seconds=0)
    try:
        for _ in range(3):
            fast, slow = surveyor.survey().pipelines
            assert fast == status_of("fast")
            assert slow == Unasked("slow", "No answer within 0.3 s; still asking")
    finally:
        release.set()
    assert asked.count("slow") == 1
    assert asked.count("fast") == 3


def test_a_defect_met_by_one_pipeline_takes_no_other_with_it_and_tells_no_secret() -> None:
    def ask(settings: PipelineSettings) -> Status:
        if settings.pipeline == "b":
            msg = "password=s3cr3t"
            raise TypeError(msg)
        return status_of(settings.pipeline)

    whole, defect = Surveyor(ask, load=loading("a", "b")).survey().pipelines
    assert whole == status_of("a")
    assert defect == Unasked("b", "TypeError while it was asked; see the api-server's log")


def test_a_failure_of_one_pipeline_is_its_own() -> None:
    def ask(settings: PipelineSettings) -> Status:
        if settings.pipeline == "b":
            msg = "the ledger stays locked"
            raise LedgerUnavailable(msg)
        return status_of(settings.pipeline)

    found = Surveyor(ask, load=loading("a", "b")).survey()
    assert found.pipelines == (status_of("a"), Unasked("b", "the ledger stays locked"))


def test_ten_viewers_ask_no_more_often_than_one() -> None:
    asked: list[str] = []

    def ask(settings: PipelineSettings) -> Status:
        asked.append(settings.pipeline)
        return status_of(settings.pipeline)

    surveyor = Surveyor(ask, load=loading("a"), fresh_seconds=60)
    viewers = [threading.Thread(target=surveyor.survey) for _ in range(10)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join(10)
    assert asked == ["a"]
