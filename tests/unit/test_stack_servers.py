"""What the servers are told, without starting one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from frameferry.stack import airflow, ftp, kafka, spark
from frameferry.stack.servers import Setting

HOME = Path("/home/of/tests")
SECRETS = {"ftp.password": "ftp-secret", "airflow.password": "airflow-secret"}
PORTS = {"broker": 1, "controller": 2, "connect": 3, "control": 4, "passive": 5, "api": 6}


def secret(name):
    return SECRETS.get(name, f"generated-{name}-0123456789abcdef0123")


@pytest.fixture
def setting():
    return Setting(HOME, PORTS, secret)


def test_the_broker_listens_on_loopback_only_and_stands_alone(setting):
    told = kafka.build(setting).properties(HOME / "data")
    assert "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2" == told["listeners"]
    assert "PLAINTEXT://127.0.0.1:1" == told["advertised.listeners"]
    assert {1} == {value for key, value in told.items() if key.endswith("replication.factor")}
    assert 1 == told["transaction.state.log.min.isr"]
    assert 60_000_000 == told["message.max.bytes"]
    assert "false" == told["auto.create.topics.enable"]


def test_a_cluster_id_is_never_taken_for_an_option():
    ids = {kafka._new_cluster_id() for _ in range(500)}
    assert 500 == len(ids)
    assert {22} == set(map(len, ids))
    assert not [one for one in ids if one.startswith("-")]


def test_spark_listens_on_loopback_only_and_keeps_its_sessions(setting):
    conf = spark.build(setting).conf()
    assert "127.0.0.1" == conf["spark.connect.grpc.binding.address"]
    assert "127.0.0.1" == conf["spark.driver.bindAddress"]
    assert "-1" == conf["spark.connect.session.manager.defaultSessionTimeout"]
    assert "64m" == conf["spark.driver.maxResultSize"]


def test_a_java_server_without_memory_exits_so_that_it_can_be_started_again(setting, monkeypatch):
    flag = "-XX:+ExitOnOutOfMemoryError"
    assert flag in spark.build(setting).conf()["spark.driver.extraJavaOptions"].split()
    monkeypatch.setattr(kafka, "jars", Path)
    monkeypatch.setattr(kafka, "find_java", lambda: Path("java"))
    assert flag in kafka.build(setting).command().argv


def test_backslashes_of_sparks_settings_survive_its_properties_file(tmp_path):
    server = spark.ConnectServer(folder=tmp_path, log=tmp_path / "log", port=3)
    server.prepare()
    lines = (tmp_path / "spark.conf").read_text().splitlines()
    written = dict(line.split(" ", 1) for line in lines)
    assert r"(?i)(password|secret|token)\\s*=\\s*\\S+" == written["spark.redaction.string.regex"]


def test_airflow_runs_four_processes_with_one_environment(setting):
    commands = airflow.build(setting, {"AIRFLOW_CONN_X": "{}"}, {}).commands()
    assert [f"airflow-{name}" for name in airflow.COMPONENTS] == list(commands)
    assert 1 == len({tuple(sorted(command.env.items())) for command in commands.values()})
    env = commands["airflow-scheduler"].env
    assert "http://127.0.0.1:6/execution/" == env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert "127.0.0.1" == env["AIRFLOW__API__HOST"]
    assert "1" == env["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"]
    # Less than what heartbeats were late by on a busy machine kills tasks that are well.
    assert int(env["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) >= 2 * 80
    assert "{}" == env["AIRFLOW_CONN_X"]


def test_loopback_goes_around_a_proxy_of_the_machine(setting, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intern.example,localhost")
    env = airflow.build(setting, {}, {}).environment()
    assert "intern.example,localhost,127.0.0.1" == env["NO_PROXY"]


def test_the_airflow_key_has_fernets_form(setting):
    key = airflow.build(setting, {}, {}).environment()["AIRFLOW__CORE__FERNET_KEY"]
    assert b"x" == Fernet(key).decrypt(Fernet(key).encrypt(b"x"))


def test_no_secret_is_in_a_command_line_or_a_repr(setting):
    ftp_server = ftp.build(setting)
    web = airflow.build(setting, {"AIRFLOW_CONN_ARCHIVE_FTP": "ftp-secret"}, {})
    commands = [ftp_server.command(), *web.commands().values()]
    shown = [*(" ".join(command.argv) for command in commands), *map(repr, commands)]
    shown += [repr(ftp_server), repr(web)]
    for text in shown:
        assert "secret" not in text.replace("airflow.secret_key", "")
