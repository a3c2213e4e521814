"""What a person sees: Airflow's navigation, the page in its frame, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.airflow_api import door_of
from fixtures.polling import poll
from playwright.sync_api import FrameLocator, Page, expect

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build/screenshots"
REFRESH_MILLISECONDS = 30_000


def open_from_navigation(page: Page) -> FrameLocator:
    page.get_by_role("link", name="Frameferry").click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="press-a").wait_for()
    return frame


def test_a_person_finds_the_page_in_the_navigation(page: Page, complaints: list[str]) -> None:
    frame = open_from_navigation(page)
    for name in ("press-a", "paint-b", "weld-e"):
        expect(frame.get_by_role("heading", name=name)).to_be_visible()
    expect(frame.get_by_text("Airflow has no connection 'plant_kafka'").first).to_be_visible()
    expect(frame.get_by_text("max_record").first).to_be_visible()
    expect(frame.get_by_text("3 of 3 need attention")).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "page.png")
    assert not complaints


def test_the_page_takes_the_theme_of_airflow(page: Page, complaints: list[str]) -> None:
    root = open_from_navigation(page).locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    expect(root).to_have_attribute("data-theme", "dark")
    page.screenshot(path=SCREENSHOTS / "page-dark.png")
    assert not complaints


def test_the_figures_are_refreshed_in_place(page: Page, complaints: list[str]) -> None:
    frame = open_from_navigation(page)
    moment = frame.locator(".live time")
    before = moment.inner_text()
    frame.locator("#pipeline-press-a").evaluate("card => { card.marked = true; }")
    expect(moment).not_to_have_text(before, timeout=REFRESH_MILLISECONDS)
    assert frame.locator("#pipeline-press-a").evaluate("card => card.marked") is True
    expect(frame.locator("#pulse")).to_have_class("dot on")
    assert not complaints


def test_one_who_is_signed_out_meanwhile_is_told_and_keeps_the_last_figures(
    page: Page, airflow: dict[str, Any]
) -> None:
    page.goto(f"{airflow['url']}/frameferry/")
    page.context.clear_cookies()
    expect(page.locator("#pulse-text")).to_contain_text("signed out", timeout=REFRESH_MILLISECONDS)
    expect(page.get_by_role("heading", name="press-a")).to_be_visible()


def test_a_pipeline_leads_to_its_dag(page: Page, airflow: dict[str, Any]) -> None:
    frame = open_from_navigation(page)
    with door_of(airflow) as door:
        poll(
            lambda: door.get("/dags/ferry__press-a").status_code == httpx.codes.OK,
            "Airflow to parse the DAG",
            seconds=120,
        )
    frame.locator("#pipeline-press-a").get_by_role("link", name="Open its DAG").click()
    page.wait_for_url("**/dags/ferry__press-a**")
    expect(page.locator("iframe")).to_have_count(0)


@pytest.mark.parametrize("path", ["", "pipelines", "status.json", "page.css", "page.js"])
def test_one_without_a_token_gets_nothing(airflow: dict[str, Any], path: str) -> None:
    answer = httpx.get(f"{airflow['url']}/frameferry/{path}", timeout=30)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert "press-a" not in answer.text
