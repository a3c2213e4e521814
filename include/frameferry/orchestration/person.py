"""Who is behind a run, for the record."""

from __future__ import annotations

from airflow.sdk import get_current_context


def person() -> str:
    """
    Name the user who triggered the run of the task that calls this, or else the run.

    Airflow takes the name from the log-in at its page or API; a run that another run triggers has
    that one's. Whoever clears a task later is not told. A run by schedule has no user.
    """
    run = get_current_context()["dag_run"]
    user = (run.triggering_user_name or "").strip()
    return user or f"airflow, run {run.run_id}"
