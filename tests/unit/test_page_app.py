from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.routing import APIRoute
from fixtures.page import NOON, alarm_of, batch_of, get, settings_of, status_of

from frameferry.config.settings import PipelineSettings
from frameferry.domain.status import LastBatch, Status, to_json
from frameferry.errors import ConfigError, KafkaUnavailable, LedgerUnavailable
from frameferry.page.app import page_app
from frameferry.page.survey import Surveyor

if TYPE_CHECKING:
    from collections.abc import Callable

    from frameferry.page.survey import Ask

PATHS = ["/", "/pipelines", "/status.json", "/page.css", "/page.js"]
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def well(settings: PipelineSettings) -> Status:
    return status_of(settings.pipeline)


def welcome() -> None:
    """Let everybody in."""


def refuse() -> NoReturn:
    raise HTTPException(401, "Not authenticated")


def app_of(
    ask: Ask = well,
    *,
    names: tuple[str, ...] = ("press-a",),
    broken: dict[Path, ConfigError] | None = None,
    guard: Callable[[], None] = welcome,
    may_read: Callable[[str], bool] = bool,
) -> FastAPI:
    whole = {Path(f"{name}.yaml"): settings_of(name) for name in names}
    return page_app(
        Surveyor(ask, load=lambda: (whole, broken or {})),
        guards=[Depends(guard)],
        may_read=lambda: may_read,
        link_to=lambda name: f"../dags/ferry__{name}",
    )


def page_of(app: FastAPI, path: str = "/") -> str:
    answer = get(app, path)
    assert answer.status_code == 200
    return answer.text


def test_every_route_has_the_guard_and_there_are_no_others() -> None:
    routes = {route.path: route for route in app_of(guard=refuse).routes}
    assert set(PATHS) == set(routes)
    for route in routes.values():
        assert isinstance(route, APIRoute)
        assert {"GET"} == route.methods
        assert refuse in [dependency.call for dependency in route.dependant.dependencies]


@pytest.mark.parametrize("path", [*PATHS, "/docs", "/redoc", "/openapi.json"])
def test_a_refused_request_gets_nothing(path: str) -> None:
    answer = get(app_of(guard=refuse), path)
    assert answer.status_code == (401 if path in PATHS else 404)
    assert "press-a" not in answer.text


@pytest.mark.parametrize(
    "shown",
    [
        *("press-a", "Healthy", "12,345", "12,321", "17", "4,000", "3,000", "1,000", "judged"),
        *("3:[1000, 3000)", "60 s = 4 s fixed + 28 ms a record", "scratch", "truncated"),
        "../dags/ferry__press-a",
    ],
)
def test_shows_what_the_status_says(shown: str) -> None:
    assert shown in page_of(app_of())


def test_the_fragment_is_the_part_of_the_page_that_is_refreshed() -> None:
    app = app_of()
    fragment = page_of(app, "/pipelines")
    assert "<html" not in fragment
    # Not one blank more, or the first refresh would exchange everything.
    assert f'<div id="live" data-every-seconds="5">{fragment}</div>' in page_of(app)


def test_json_is_that_of_the_status_command() -> None:
    answer = get(app_of(), "/status.json").json()
    assert {"asked_at", "trouble", "pipelines", "broken"} == set(answer)
    assert [to_json(status_of("press-a"))] == answer["pipelines"]


def test_a_batch_that_backs_off_says_until_when() -> None:
    later = batch_of(retry_at=NOON, last_error="the disk is full")
    text = page_of(app_of(lambda _: status_of("press-a", open_batches=(later,))))
    assert '<time datetime="2026-11-23T12:00:00+00:00">12:00:00 UTC</time>' in text
    assert "failed last" in text


def test_a_server_that_is_down_is_advice() -> None:
    def ask(settings: PipelineSettings) -> NoReturn:
        msg = "no broker answered: connection refused"
        raise KafkaUnavailable(msg, remedy="Start Kafka", pipeline=settings.pipeline)

    text = page_of(app_of(ask))
    assert "Needs attention" in text
    assert "pipeline press-a: no broker answered: connection refused. Start Kafka" in text


def test_one_that_cannot_be_asked_is_shown_with_its_error_beside_one_that_can() -> None:
    error = "the ledger stays locked"

    def ask(settings: PipelineSettings) -> Status:
        if settings.pipeline == "press-a":
            raise LedgerUnavailable(error)
        return status_of(settings.pipeline)

    app = app_of(ask, names=("press-a", "press-b"))
    silent, asked = (card.split("</article>")[0] for card in page_of(app).split("<article")[1:])
    assert error in silent
    assert "Records" not in silent
    assert "12,345" in asked
    silent_json, asked_json = get(app, "/status.json").json()["pipelines"]
    assert (error, None) == (silent_json["error"], asked_json["error"])
    assert (None, 12345) == (silent_json["records"], asked_json["records"])


def test_a_broken_file_is_shown_with_its_error_beside_the_whole_ones() -> None:
    error = "weld-e.yaml: batch.max_record: not a key"
    app = app_of(broken={Path("weld-e.yaml"): ConfigError(error)})
    text = page_of(app)
    assert error in text
    assert "pipeline-press-a" in text
    assert "1 of 2 needs attention" in text
    expected = [{"pipeline": "weld-e", "file": "weld-e.yaml", "error": error}]
    assert expected == get(app, "/status.json").json()["broken"]


def test_a_broken_file_whose_name_is_no_text_is_shown() -> None:
    app = app_of(broken={Path("weld-\udcff.yaml"): ConfigError("weld-\udcff.yaml: broken")})
    assert r"weld-\udcff.yaml: broken" in page_of(app)
    expected = {"pipeline": r"weld-\udcff", "file": r"weld-\udcff.yaml"}
    assert expected.items() <= get(app, "/status.json").json()["broken"][0].items()


def test_a_folder_that_is_missing_is_said() -> None:
    def load() -> NoReturn:
        msg = "no folder of pipeline files"
        raise ConfigError(msg, remedy="Make it")

    app = page_app(
        Surveyor(well, load=load),
        guards=[],
        may_read=lambda: bool,
        link_to=lambda name: name,
    )
    assert "no folder of pipeline files. Make it" in page_of(app)


@pytest.mark.parametrize("path", ["/", "/pipelines"])
def test_hostile_text_is_text(path: str) -> None:
    batch = batch_of(kind=HOSTILE, state=HOSTILE, sentence=HOSTILE, last_error=HOSTILE)
    hostile = status_of(
        "press-a",
        alarms=(alarm_of(HOSTILE),),
        last_batch=LastBatch(12, NOON, HOSTILE),
        counts=replace(status_of("press-a").counts, labels={HOSTILE: 1}, reasons={HOSTILE: 1}),
        open_batches=(batch, batch_of(ranges=(HOSTILE,))),
    )
    text = page_of(app_of(lambda _: hostile, broken={Path("x"): ConfigError(HOSTILE)}), path)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert HOSTILE in unescape(text)


def test_even_hostile_text_that_came_in_could_not_run() -> None:
    answer = get(app_of(), "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert " style=" not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_kept_in_a_cache(path: str) -> None:
    assert get(app_of(), path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/pipelines", "/status.json"])
def test_only_the_pipelines_that_one_may_read_are_shown(path: str) -> None:
    broken = {Path("weld-e.yaml"): ConfigError("only for readers of weld-e")}
    text = page_of(app_of(broken=broken, may_read=lambda name: name == "weld-e"), path)
    assert "press-a" not in text
    assert "only for readers of weld-e" in text


def test_one_who_may_read_nothing_is_told_so() -> None:
    text = page_of(app_of(may_read=lambda _: False))
    assert "There is no pipeline that you may read" in text
