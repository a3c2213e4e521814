"""What a person sees: Airflow's navigation, the page in its frame, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from fixtures.chromium import find_chromium
from fixtures.polling import poll
from playwright.sync_api import Browser, FrameLocator, Page, expect, sync_playwright

from frameferry.stack import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build/screenshots"
PATIENCE_MILLISECONDS = 60_000
REFRESH_MILLISECONDS = 30_000


@pytest.fixture(scope="module")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two whole pipelines and a broken one."""
    folder = tmp_path_factory.mktemp("page")
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    for name in ("press-a", "paint-b"):
        content = yaml.safe_load((ROOT / f"include/pipelines/{name}.yaml").read_text())
        (pipelines / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (pipelines / "weld-e.yaml").write_text("pipeline: weld-e\nbatch: {max_record: 1}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMEFERRY_HOME", str(folder / "home"))
        patch.setenv("FRAMEFERRY_PIPELINES", str(pipelines))
        yield folder


@pytest.fixture(scope="module")
def airflow(stack_home: Path) -> Iterator[dict[str, Any]]:
    """Airflow and nothing else: Kafka is not there, which the page has to say."""
    try:
        stack.up(["airflow"])
        yield stack.status()["airflow"]
    finally:
        stack.down()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def logged_in(browser: Browser, airflow: dict[str, Any]) -> Any:
    """What a browser keeps of one who has logged in."""
    window = browser.new_page()
    window.set_default_timeout(PATIENCE_MILLISECONDS)
    window.goto(f"{airflow['url']}/auth/login")
    window.fill("input[name=username]", airflow["user"])
    window.fill("input[name=password]", airflow["password"])
    window.keyboard.press("Enter")
    window.wait_for_url(lambda url: "/auth/" not in url)
    state = window.context.storage_state()
    window.close()
    return state


@pytest.fixture
def page(
    browser: Browser, airflow: dict[str, Any], logged_in: Any, complaints: list[str]
) -> Iterator[Page]:
    """A window of one who has logged in, on Airflow's first page."""
    viewport = {"width": 1440, "height": 960}
    window = browser.new_page(viewport=viewport, color_scheme="light", storage_state=logged_in)
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    window.set_default_timeout(PATIENCE_MILLISECONDS)
    window.goto(airflow["url"])
    yield window
    window.close()


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
    with httpx.Client(base_url=airflow["url"], timeout=30) as client:
        login = {"username": airflow["user"], "password": airflow["password"]}
        answer = client.post("/auth/token", json=login).json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        dag = "/api/v2/dags/ferry__press-a"
        poll(
            lambda: client.get(dag, headers=headers).status_code == httpx.codes.OK,
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
