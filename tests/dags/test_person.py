"""Who is behind a run, by what Airflow's SDK tells a task."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.usefixtures("airflow_home")

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def behind(user: str | None, run_type: str, run_id: str) -> str:
    from airflow.sdk.api.datamodels._generated import DagRun
    from airflow.sdk.execution_time.context import set_current_context

    from frameferry.orchestration.person import person

    run = DagRun(
        dag_id="replay",
        run_id=run_id,
        run_after=NOW,
        run_type=run_type,
        state="running",
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        start_date=NOW,
        end_date=None,
        consumed_asset_events=[],
        partition_key=None,
        triggering_user_name=user,
    )
    with set_current_context({"dag_run": run}):
        return person()


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered", "backfill"])
def test_the_user_who_triggered_a_run_is_behind_it(run_type):
    assert "ada" == behind("ada", run_type, "manual__1")


@pytest.mark.parametrize("nobody", [None, "", "  "])
def test_a_run_by_schedule_says_so(nobody):
    run_id = "scheduled__2026-11-23T12:00:00+00:00"
    assert f"airflow, run {run_id}" == behind(nobody, "scheduled", run_id)
