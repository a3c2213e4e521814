"""The audit form: it tells by files and by the run's colour, and repairs if asked to."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fixtures.airflow import ROOT, run_dag
from fixtures.ferry import delivered_files
from fixtures.outside import Outside

from frameferry.pipeline.run import run_until_caught_up


@pytest.fixture
def delivered(ferry, kafka_server, ftp_server) -> dict[str, bytes]:
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"one", b"two", b"three"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    return files(ferry, ftp_server)


def files(ferry, ftp_server) -> dict[str, bytes]:
    return delivered_files(ftp_server, ferry.content["deliver"]["base"])


def reports(ferry) -> list[dict[str, Any]]:
    """Read the reports that lie there, the oldest first."""
    folder = Path(ferry.folder) / "audits" / ferry.name
    pages = sorted(folder.glob("*.html"))
    data = sorted(folder.glob("*.json"))
    assert [page.stem for page in pages] == [one.stem for one in data]
    return [json.loads(one.read_text(encoding="utf-8")) for one in data]


def test_a_form_is_red_until_what_is_missing_is_sent_again(ferry, ftp_server, delivered):
    state, states = run_dag("audit", pipeline=ferry.name)
    assert "success" == state, states
    [lost, *_] = delivered
    (ftp_server.root / ferry.content["deliver"]["base"].strip("/") / lost).unlink()

    state, states = run_dag("audit", pipeline=ferry.name)
    assert ("failed", "failed", "success") == (
        state,
        states["conclude", -1],
        states["compare", -1],
    )
    assert delivered != files(ferry, ftp_server)

    state, states = run_dag("audit", pipeline=ferry.name, repair=True)
    assert ("failed", "failed") == (state, states["conclude", -1])
    assert "success" == states["batches_archive_ftp.commit", 0]
    assert "success" == states["verdict", -1]
    assert delivered == files(ferry, ftp_server)

    state, states = run_dag("audit", pipeline=ferry.name, since="", without_kafka=True)
    assert "success" == state, states
    assert [True, False, False, True] == [one["is_well"] for one in reports(ferry)]
    assert 1 == len(reports(ferry)[2]["repairs"]["replays"])
    with closing(Outside(ferry.url)) as ledger:
        assert ["dag_test"] == [row["who"] for row in ledger.of("action", ferry.name)]


@pytest.mark.parametrize(
    "wrong",
    [{"since": "2026-05-01T25:00:00Z"}, {"repair": True, "without_kafka": True}, {"sampel": 3}],
)
def test_a_form_refuses_nonsense_in_its_first_task(ferry, wrong):
    state, states = run_dag("audit", pipeline=ferry.name, **wrong)
    assert ("failed", "failed") == (state, states["compare", -1])
    assert "upstream_failed" == states["conclude", -1]
    assert [] == reports(ferry)


def test_what_the_documents_show_as_dags_are_dags(airflow_home, tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page, re.DOTALL)):
        (tmp_path / f"example_{number}.py").write_text(code, encoding="utf-8")
    bag = DagBag(str(tmp_path))
    assert {} == bag.import_errors
    assert {"nightly_audit", "report"} == set(bag.dags)
    awaited = bag.dags["report"].timetable.asset_condition
    assert ["delivered__press-a"] == [asset.name for asset in awaited.objects]
    task = bag.dags["nightly_audit"].get_task("audit")
    assert "conf" in task.template_fields
    assert {"pipeline", "since", "until"} == set(task.conf)
