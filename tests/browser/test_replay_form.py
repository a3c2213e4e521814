"""The replay form as a person meets it: in Airflow's own dialog, in a real browser."""

from __future__ import annotations

from typing import Any

import httpx
from fixtures.airflow_api import door_of
from fixtures.polling import poll
from playwright.sync_api import Locator, Page, expect


def opened(page: Page, airflow: dict[str, Any]) -> Locator:
    """Open the form's dialog, once Airflow has parsed its DAG."""
    with door_of(airflow) as door:
        poll(
            lambda: door.get("/dags/replay").status_code == httpx.codes.OK,
            "Airflow to parse the form",
            seconds=120,
        )
    page.goto(f"{airflow['url']}/dags/replay")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.locator("[role=dialog][data-state=open]")
    dialog.get_by_role("button", name="Or else").click()
    return dialog


def runs(airflow: dict[str, Any]) -> list[dict[str, Any]]:
    with door_of(airflow) as door:
        return list(door.get("/dags/replay/dagRuns").json()["dag_runs"])


def test_a_range_that_is_none_starts_no_run_and_one_that_is_starts_one(
    page: Page, airflow: dict[str, Any]
) -> None:
    dialog = opened(page, airflow)
    ranges = dialog.locator("input[name=element_ranges]")
    send = dialog.get_by_test_id("trigger-dag-submit")
    ranges.fill("0-5")
    send.click()
    expect(page.get_by_text("does not match").first).to_be_visible()
    assert not runs(airflow)

    ranges.fill("0:5-9, 1:0-3")
    # Airflow's message lies over the button, for a mouse.
    send.press("Enter")
    poll(lambda: runs(airflow), "the run")
    (run,) = runs(airflow)
    asked = {name: value for name, value in run["conf"].items() if value not in (None, False)}
    assert asked == {
        "pipeline": "paint-b",
        "ranges": "0:5-9, 1:0-3",
        "mode": "redeliver",
        "dry_run": True,
    }
