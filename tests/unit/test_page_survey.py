from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixtures.page import settings_of

from frameferry.errors import LedgerUnavailable
from frameferry.page.survey import Surveyor

if TYPE_CHECKING:
    from frameferry.config.settings import PipelineSettings
    from frameferry.page.survey import Load


def loading(*names: str) -> Load:
    return lambda: ({Path(f"{name}.yaml"): settings_of(name) for name in names}, {})


def test_all_pipelines_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def ask(settings: PipelineSettings) -> dict[str, Any]:
        together.wait()
        return {"pipeline": settings.pipeline}

    found = Surveyor(ask, load=loading("c", "a", "b")).survey()
    assert [one["pipeline"] for one in found.pipelines] == ["a", "b", "c"]


def test_a_pipeline_that_hangs_holds_nobody_up_and_is_not_asked_twice() -> None:
    asked: list[str] = []
    release = threading.Event()

    def ask(settings: PipelineSettings) -> dict[str, Any]:
        asked.append(settings.pipeline)
        if settings.pipeline == "slow":
            release.wait(10)
        return {"pipeline": settings.pipeline, "advice": []}

    surveyor = Surveyor(ask, load=loading("fast", "slow"), patience_seconds=0.3, fresh_seconds=0)
    try:
        for _ in range(3):
            fast, slow = surveyor.survey().pipelines
            assert fast["advice"] == []
            assert slow["advice"] == ["No answer within 0.3 s; still asking"]
    finally:
        release.set()
    assert asked.count("slow") == 1
    assert asked.count("fast") == 3


def test_a_defect_met_by_one_pipeline_takes_no_other_with_it_and_tells_no_secret() -> None:
    def ask(settings: PipelineSettings) -> dict[str, Any]:
        if settings.pipeline == "b":
            msg = "password=s3cr3t"
            raise TypeError(msg)
        return {"pipeline": settings.pipeline, "advice": []}

    whole, defect = Surveyor(ask, load=loading("a", "b")).survey().pipelines
    assert whole["advice"] == []
    assert defect["advice"] == ["TypeError while it was asked; see the api-server's log"]


def test_a_failure_of_one_pipeline_is_its_own() -> None:
    def ask(settings: PipelineSettings) -> dict[str, Any]:
        if settings.pipeline == "b":
            msg = "the ledger stays locked"
            raise LedgerUnavailable(msg)
        return {"pipeline": settings.pipeline, "advice": []}

    found = Surveyor(ask, load=loading("a", "b")).survey()
    assert [one["advice"] for one in found.pipelines] == [[], ["the ledger stays locked"]]


def test_ten_viewers_ask_no_more_often_than_one() -> None:
    asked: list[str] = []

    def ask(settings: PipelineSettings) -> dict[str, Any]:
        asked.append(settings.pipeline)
        return {"pipeline": settings.pipeline}

    surveyor = Surveyor(ask, load=loading("a"), fresh_seconds=60)
    viewers = [threading.Thread(target=surveyor.survey) for _ in range(10)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join(10)
    assert asked == ["a"]
