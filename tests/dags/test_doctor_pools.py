"""The doctor looks at the pools of a real Airflow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frameferry.domain.signs import Verdict
from frameferry.operations.doctor import machine

pytestmark = pytest.mark.usefixtures("airflow_home")
WANTED = {"doctor_spark": 8, "doctor_ftp": 4, "doctor_other": 1}


def make(**pools: int) -> None:
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        for name, slots in pools.items():
            Pool.create_or_update_pool(name, slots, "", include_deferred=False, session=session)


def test_pools_that_are_missing_or_small_are_said_until_they_are_as_configured() -> None:
    make(doctor_spark=8, doctor_ftp=2)
    missing, small = machine.airflow(WANTED, dict(os.environ))
    assert (Verdict.WRONG, "Run: frameferry airflow setup") == (missing.verdict, missing.remedy)
    assert "no pool doctor_other" in missing.seen
    assert Verdict.WARN == small.verdict
    assert "doctor_ftp has 2 of 4 slots" in small.seen
    make(**WANTED)
    (found,) = machine.airflow(WANTED, dict(os.environ))
    assert Verdict.OK == found.verdict
    assert "3 pools as configured" in found.seen


def test_a_database_that_is_away_is_said_without_its_password(airflow_home: Path) -> None:
    url = "postgresql+psycopg2://ferry:hunter2@127.0.0.1:1/airflow"
    (found,) = machine.airflow(WANTED, {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url})
    assert Verdict.WRONG == found.verdict
    assert "AIRFLOW_HOME" in found.remedy
    assert "hunter2" not in str(found)
