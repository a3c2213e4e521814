"""Users of a real Airflow replay by its form: the ledger has their names, the system's nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from fixtures.outside import Outside
from fixtures.polling import poll

from frameferry.config.home import home
from frameferry.config.person import person
from frameferry.ledger.opening import open_ledger
from frameferry.stack import stack
from frameferry.stack.state import StateFile

NAME = "line-000"
TOPIC = f"{NAME}.images"
PICTURES = 4
LONG = "x" * 400
ODD = "Ada\u202e\n\x1b[31m<b>'; -- 山田 🚢"
SAID_OF_ODD = r"Ada\u202e\n\x1b[31m<b>'; -- 山田 🚢"
ISSUE = """
    import json, sys
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    manager = create_auth_manager()
    names = json.load(sys.stdin)
    users = [SimpleAuthManagerUser(username=name, role="admin") for name in names]
    print(json.dumps([manager.generate_jwt(user) for user in users]))
"""
"""What Airflow does at a log-in, for users whose names no configuration file can hold."""


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """One pipeline under the scheduler, whose pictures are committed; Airflow's door."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FRAMEFERRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path / "pipelines"))
    content = {
        "pipeline": NAME,
        "kafka": {"connection": "plant_kafka", "topic": TOPIC},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{NAME}"},
        "batch": {"linger_seconds": 0},
    }
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / f"{NAME}.yaml").write_text(yaml.safe_dump(content))
    try:
        stack.up(["kafka", "ftp"])
        produce(str(stack.status()["kafka"]["bootstrap_servers"]))
        stack.up(["airflow"])
        yield stack.status()["airflow"]
    finally:
        stack.down()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Outside]:
    url = f"sqlite:///{tmp_path}/home/ledger.db"
    # Nobody may have made its tables yet.
    open_ledger(url).close()
    with closing(Outside(url)) as outside:
        yield outside


def produce(servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
    producer = Producer({"bootstrap.servers": servers, "log_level": 0})
    for number in range(PICTURES):
        producer.produce(TOPIC, b"picture %d" % number, partition=0)
    assert producer.flush(30) == 0


def log_in(door: dict[str, Any]) -> str:
    login = {"username": door["user"], "password": door["password"]}
    answer = httpx.post(f"{door['url']}/auth/token", json=login, timeout=30)
    return str(answer.json()["access_token"])


def tokens(*names: str) -> list[str]:
    """Let Airflow issue the tokens that it issues at a log-in."""
    pid = StateFile(home()).state.servers["airflow"].processes["airflow-api-server"].pid
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ISSUE)],
        env=psutil.Process(pid).environ(),
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def replay(url: str, token: str, offset: int) -> None:
    """Send the form for one picture, and wait for the run's end."""
    form = {
        "pipeline": NAME,
        "partition": 0,
        "from_offset": offset,
        "to_offset": offset + 1,
        "mode": "redeliver",
        "dry_run": False,
    }
    with httpx.Client(
        base_url=f"{url}/api/v2/dags",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ) as client:
        poll(known(client), "Airflow to know the form", seconds=120)
        asked = client.post("/replay/dagRuns", json={"logical_date": None, "conf": form})
        assert asked.status_code == httpx.codes.OK, asked.text
        run = f"/replay/dagRuns/{asked.json()['dag_run_id']}"
        poll(lambda: client.get(run).json()["state"] in {"success", "failed"}, "it", seconds=240)
        assert client.get(run).json()["state"] == "success"


def known(client: httpx.Client) -> Callable[[], bool]:
    return lambda: client.get("/replay").status_code == httpx.codes.OK


def committed(ledger: Outside) -> bool:
    query = (
        "SELECT r.committed_offset FROM progress r JOIN pipeline p ON p.id = r.pipeline_id "
        "WHERE p.name = :pipeline"
    )
    return [PICTURES] == [row["committed_offset"] for row in ledger.rows(query, NAME)]


@pytest.mark.timeout(900)
def test_a_replay_bears_the_name_of_the_user_who_asked_for_it(
    airflow: dict[str, Any], ledger: Outside
) -> None:
    poll(lambda: committed(ledger), "all pictures", seconds=240)
    everybody = [log_in(airflow), *tokens("ada", ODD, LONG)]
    for offset, token in enumerate(everybody):
        replay(airflow["url"], token, offset)
    rows = ledger.rows(
        "SELECT a.who, a.what FROM action a JOIN pipeline p ON p.id = a.pipeline_id "
        "WHERE p.name = :pipeline ORDER BY a.id",
        NAME,
    )
    assert {"replay"} == {row["what"] for row in rows}
    admin, ada, odd, long = (row["who"] for row in rows)
    assert (airflow["user"], "ada", SAID_OF_ODD) == (admin, ada, odd)
    assert long.startswith("x" * 280)
    assert len(long) < len(LONG)
    assert person() not in {admin, ada, odd, long}
