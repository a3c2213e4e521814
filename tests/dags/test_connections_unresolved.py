"""Airflow calls a connection missing that it could not ask for: such a task is tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frameferry.config.connections import resolve_from_environment
from frameferry.errors import ConnectionMissing, ConnectionUnresolved, TransientError

pytestmark = pytest.mark.usefixtures("airflow_home")


class Supervisor:
    """Answer a task's question as Airflow's supervisor does when the API server says *error*."""

    def __init__(self, error: str) -> None:
        self.error = error

    def send(self, _question: object) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse

        return ErrorResponse(error=ErrorType[self.error])


@pytest.fixture(params=["API_SERVER_ERROR", "CONNECTION_NOT_FOUND", "PERMISSION_DENIED"])
def supervisor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    supervisor = Supervisor(request.param)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)


@pytest.mark.usefixtures("supervisor")
def test_a_connection_that_airflow_does_not_hand_out_is_asked_for_again() -> None:
    from frameferry.orchestration.connections import resolve_through_airflow

    with pytest.raises(ConnectionUnresolved, match=r"'no_such_ftp', or could not be asked") as it:
        resolve_through_airflow("no_such_ftp")
    assert isinstance(it.value, TransientError)


@pytest.mark.usefixtures("supervisor")
def test_a_task_without_its_connection_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    from frameferry.orchestration.tasks import call_step

    (tmp_path / "press-a.yaml").write_text(
        "pipeline: press-a\nkafka: {connection: k, topic: t}\nmodel: none\n"
        "deliver: {connection: no_such_ftp, base: /press-a}\n"
    )
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path))
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(AirflowException, match="no_such_ftp") as it:
        call_step("press-a", lambda ctx: ctx.ftp)
    assert not isinstance(it.value, AirflowFailException)


def test_the_command_line_knows_for_sure_that_a_connection_is_missing() -> None:
    with pytest.raises(ConnectionMissing):
        resolve_from_environment("no_such_ftp")
