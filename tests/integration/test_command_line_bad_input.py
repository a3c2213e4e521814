"""Whatever is wrong gives one clear line: no traceback, no hang, and nothing is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from fixtures.ferry import bench, delivered_files

NOTHING_LISTENS = 1


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    topic = kafka_server.create_topic(partitions=1)
    kafka_server.produce(topic, [b"one", b"two", b"three"])
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


def refused(ferry, *arguments: str, says: str, within_seconds: float = 60) -> str:
    """Run a command that must fail with one line that names the pipeline's trouble."""
    started = time.monotonic()
    done = ferry.run(*arguments, seconds=within_seconds + 30)
    assert time.monotonic() - started < within_seconds
    assert 1 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert 1 == len(lines), done.stderr
    assert re.search(says, lines[0]), lines[0]
    return lines[0]


def frameferry(*arguments: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty place of its own."""
    return subprocess.run(
        [Path(sys.executable).with_name("frameferry"), *arguments],
        env={**os.environ, "FRAMEFERRY_HOME": str(home), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def all_delivered(ferry, ftp_server) -> None:
    done = ferry.run("run", ferry.name, "--until-caught-up")
    assert 0 == done.returncode, done.stderr
    assert 3 == len(delivered_files(ftp_server, ferry.content["deliver"]["base"]))


def test_an_unknown_key(ferry, ftp_server):
    ferry.content["batch"] = {"max_record": 5}
    line = refused(ferry, "check", says=r"batch\.max_record: Extra inputs are not permitted")
    assert f"{ferry.name}.yaml" in line
    refused(ferry, "run", ferry.name, says=r"batch\.max_record")
    del ferry.content["batch"]
    all_delivered(ferry, ftp_server)


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["stack", "down"]])
def test_a_damaged_state_of_the_stack(tmp_path, arguments):
    (tmp_path / "stack.json").write_text("garbage")
    done = frameferry(*arguments, home=tmp_path)
    assert 1 == done.returncode
    assert re.fullmatch(r"error: .*stack\.json cannot be read\. Delete it.*\n", done.stderr)


def test_a_ledger_address_that_is_none(tmp_path):
    url = "postgresql://ferry:s3cr3t@db:port/ledger"
    done = frameferry("status", home=tmp_path, FRAMEFERRY_LEDGER_URL=url)
    assert 1 == done.returncode
    assert "error: the ledger's URL cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr


def test_the_stacks_lines_for_a_shell_say_what_they_mean_whatever_the_names(tmp_path):
    home = tmp_path / "o'brien :key: $(touch x)"
    home.mkdir()
    lines = frameferry("stack", "env", home=home).stdout
    told = subprocess.run(
        ["sh", "-c", f'{lines}\nprintf %s "$FRAMEFERRY_HOME"'],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert str(home) == told.stdout
    assert [home] == list(tmp_path.iterdir())


def test_a_file_whose_name_is_no_text_is_checked_like_any_other(ferry):
    ferry.write()
    deliver = {**ferry.content["deliver"], "base": "/another"}
    other = {**ferry.content, "pipeline": "another", "deliver": deliver}
    ferry.path.with_name("[b]line-\udcff.yaml").write_text(yaml.safe_dump(other))
    done = ferry.run("check")
    assert 0 == done.returncode, done.stderr
    assert {r"[b]line-\udcff.yaml: ok", f"{ferry.name}.yaml: ok"} == set(done.stdout.splitlines())


def test_two_pipelines_that_share_a_base_by_two_connection_ids(ferry):
    ferry.connections["one_more_id"] = ferry.connections["archive_ftp"]
    deliver = {**ferry.content["deliver"], "connection": "one_more_id"}
    other = {**ferry.content, "pipeline": "z-other", "deliver": deliver}
    ferry.write()
    ferry.path.with_name("z-other.yaml").write_text(yaml.safe_dump(other))
    refused(
        ferry,
        "check",
        says=f"pipeline z-other: .* on one_more_id is taken by {ferry.name}.yaml "
        rf"\(pipeline {ferry.name}, whose archive_ftp is the same server and user\)",
    )


def test_a_pipeline_that_does_not_exist(ferry):
    refused(ferry, "run", "press-x", says=f"no pipeline 'press-x'.*{ferry.name}")


def test_a_missing_connection(ferry, ftp_server):
    kept = ferry.connections.pop("archive_ftp")
    refused(ferry, "check", says="archive_ftp.*AIRFLOW_CONN_ARCHIVE_FTP")
    refused(ferry, "run", ferry.name, says="archive_ftp.*AIRFLOW_CONN_ARCHIVE_FTP")
    ferry.connections["archive_ftp"] = kept
    all_delivered(ferry, ftp_server)


def test_a_topic_that_does_not_exist(ferry, ftp_server):
    topic = ferry.content["kafka"]["topic"]
    ferry.content["kafka"]["topic"] = "no-such-topic"
    refused(ferry, "check", says=f"{ferry.name}.*no-such-topic")
    refused(ferry, "run", ferry.name, says="no-such-topic")
    ferry.content["kafka"]["topic"] = topic
    all_delivered(ferry, ftp_server)


def test_kafka_does_not_run(ferry, ftp_server):
    extra = ferry.connections["plant_kafka"]["extra"]
    servers = extra["bootstrap.servers"]
    extra["bootstrap.servers"] = f"127.0.0.1:{NOTHING_LISTENS}"
    refused(ferry, "run", ferry.name, says="plant_kafka|127.0.0.1:1")
    told = ferry.json("status", ferry.name)
    assert not told["healthy"]
    extra["bootstrap.servers"] = servers
    all_delivered(ferry, ftp_server)


def test_spark_does_not_run(ferry, ftp_server):
    ferry.content["model"] = {"path": "include/models/surface/1"}
    refused(ferry, "run", ferry.name, says=r"nothing answers at sc://127\.0\.0\.1:1.*Start Spark")
    assert not ferry.json("status", ferry.name)["healthy"]


def test_ftp_does_not_run(ferry, ftp_server):
    port = ferry.connections["archive_ftp"]["port"]
    ferry.connections["archive_ftp"]["port"] = NOTHING_LISTENS
    refused(ferry, "run", ferry.name, says=ferry.name)
    told = ferry.json("status", ferry.name)
    assert "failed last" in " ".join(told["advice"])
    ferry.connections["archive_ftp"]["port"] = port
    all_delivered(ferry, ftp_server)


def test_a_model_that_is_not_there(ferry):
    ferry.content["model"] = {"path": "include/models/no-such-model"}
    refused(ferry, "check", says="no-such-model")


def test_what_a_cluster_would_miss(ferry):
    ferry.connections["spark_default"] = {"conn_type": "spark", "host": "yarn"}
    for extra, says in (
        ({"archives": ["/nowhere/env.tar.gz#env"]}, "spark_default.*no /nowhere/env.tar.gz here"),
        ({"archive": ["/nowhere/env.tar.gz#env"]}, "spark_default.*unknown key archive"),
    ):
        ferry.connections["spark_default"]["extra"] = extra
        refused(ferry, "check", says=says)


def test_a_wrong_password_is_one_attempt_in_all(ferry, make_ftp):
    ftp = make_ftp()
    connection = ferry.connections["archive_ftp"]
    connection["port"] = ftp.connection.port
    connection["login"] = ftp.connection.user
    connection["password"] = "wrong-and-secret"
    line = refused(ferry, "run", ferry.name, says="(?i)log-?in|password")
    assert "wrong-and-secret" not in line
    for _ in range(2):
        refused(ferry, "run", ferry.name, says=f"blocked since.*frameferry unblock {ferry.name}")
    told = ferry.json("status", ferry.name)
    assert "Blocked" in told["advice"][0]
    assert 1 == attempts(ftp)

    connection["password"] = ftp.connection.password.get_secret_value()
    all_delivered(ferry, ftp)


def test_a_person_unblocks_for_one_more_attempt(ferry, make_ftp):
    ftp = make_ftp()
    connection = ferry.connections["archive_ftp"]
    connection.update(port=ftp.connection.port, login=ftp.connection.user, password="wrong")
    refused(ferry, "run", ferry.name, says="(?i)log-?in|password")
    done = ferry.run("unblock", ferry.name)
    assert "unblocked" in done.stdout
    refused(ferry, "run", ferry.name, says="(?i)log-?in|password")
    refused(ferry, "run", ferry.name, says="blocked since")
    assert 2 == attempts(ftp)


def attempts(ftp) -> int:
    """Count the log-in attempts that the server itself saw."""
    log = (ftp.files.home / "logs" / "ftp.log").read_text()
    return log.lower().count("login failed") + log.lower().count("failed login")


@pytest.mark.parametrize("text", ["4711", "0:", "a:b", "0:-1"])
def test_an_offset_that_is_none(ferry, text):
    refused(ferry, "records", ferry.name, "--offset", text, says="not PARTITION:OFFSET")


def test_no_command_prints_a_secret(ferry, ftp_server):
    secret = ferry.connections["archive_ftp"]["password"]
    for arguments in (["check"], ["run", ferry.name], ["status"], ["records", ferry.name]):
        done = ferry.run(*arguments)
        assert secret not in done.stdout + done.stderr


def test_two_pipelines_at_once_make_one_attempt_together(ferry, tmp_path, kafka_server, make_ftp):
    ftp = make_ftp()
    topic = kafka_server.create_topic(partitions=1)
    kafka_server.produce(topic, [b"four"])
    other = bench(tmp_path / "other", topic=topic, kafka=kafka_server, ftp=ftp)
    other.ledger_url = ferry.url
    for one in (ferry, other):
        connection = one.connections["archive_ftp"]
        connection.update(port=ftp.connection.port, login=ftp.connection.user, password="wrong")
    assert 0 == ferry.run("status").returncode
    started = [one.start("run", one.name) for one in (ferry, other)]
    ends = [process.communicate(timeout=120) for process in started]
    assert [1, 1] == [process.returncode for process in started], ends
    assert 1 == attempts(ftp)
