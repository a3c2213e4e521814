"""Who is behind a run, for the record."""

from __future__ import annotations

from airflow.sdk import get_current_context


def person() -> str:
    """
    Name the user who triggered the run of the calling task, otherwise the run.

    Airflow takes the name from the log-in at its page or API. A run that another run triggers takes
    the name from that one. Airflow does not tell who clears a task. A scheduled run has no user.
    """
    run = get_current_context()["dag_run"]
    user = (run.triggering_user_name or "").strip()
    return user or f"airflow, run {run.run_id}"
