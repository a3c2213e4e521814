"""An Airflow with the project's pipelines, and a person before it, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.chromium import find_chromium
from playwright.sync_api import Browser, Page, sync_playwright

from frameferry.stack import stack

ROOT = Path(__file__).parents[2]
PATIENCE_MILLISECONDS = 60_000


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def airflow(stack_home: Path) -> Iterator[dict[str, Any]]:
    """Airflow and nothing else: Kafka is not there, which the page has to say."""
    try:
        stack.up(["airflow"])
        yield stack.status()["airflow"]
    finally:
        stack.down()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="session")
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
