"""Envoys ask a real broker as a cluster does, and may die of it: only they."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaError
from fixtures.kafka import KafkaServer
from fixtures.polling import poll
from fixtures.processes import is_over
from fixtures.questions import QUESTIONS

from frameferry.config.connections import KafkaConnection
from frameferry.errors import (
    ConnectionMissing,
    Coordinates,
    KafkaUnavailable,
    OffsetsLost,
    TopicMissing,
)
from frameferry.kafka import envoy_cluster, envoy_process, envoys
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.envoy_cluster import EnvoyCluster
from frameferry.kafka.envoys import Envoys
from frameferry.kafka.errand import Question

CHILD = Path(__file__).parents[1] / "fixtures/asking_child.py"
SIGNALS = {"killed": signal.SIGKILL, "aborted": signal.SIGABRT}


@pytest.fixture
def some() -> Iterator[Envoys]:
    """Envoys of which nothing is left: no process, no zombie, no open file."""
    files, children = psutil.Process().num_fds(), psutil.Process().children()
    some = Envoys()
    yield some
    some.close()
    assert [] == some.pids
    assert children == psutil.Process().children()
    poll(lambda: psutil.Process().num_fds() <= files, "the end of open files", seconds=5)


@pytest.fixture
def topic(kafka_server: KafkaServer) -> str:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 3)
    return topic


@pytest.fixture
def silent() -> Iterator[KafkaConnection]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield connection(f"127.0.0.1:{server.getsockname()[1]}")


def connection(servers: str, **options: str) -> KafkaConnection:
    dotted = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": servers, **dotted})


def test_all_that_a_cluster_can_be_asked_an_envoy_is_asked() -> None:
    public = {name for name in vars(Cluster) if not name.startswith("_")}
    assert public <= set(vars(EnvoyCluster))
    assert public == {*QUESTIONS, "close", "forget", "throttled_seconds"}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_envoy_brings_the_answer_of_a_cluster(
    kafka_server: KafkaServer, some: Envoys, topic: str, name: str
) -> None:
    ask = QUESTIONS[name]
    with closing(Cluster(kafka_server.connection)) as here:
        QUESTIONS["mirror"](here, topic)
        expected = ask(here, topic)
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        assert expected == ask(there, topic)


def test_an_envoy_brings_the_errors_of_a_cluster_and_lives(
    kafka_server: KafkaServer, some: Envoys, topic: str
) -> None:
    kafka_server.delete_records(topic, {0: 2})
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        (pid,) = some.pids
        with pytest.raises(TopicMissing, match=r"topic 'no-such-topic': .*kafka.topic") as error:
            there.view("no-such-topic", None)
        assert "mend kafka.topic" in error.value.remedy
        with pytest.raises(OffsetsLost, match="offsets from 2 on") as lost:
            QUESTIONS["first_since"](there, topic)
        assert Coordinates(topic=topic, partition=0, offset=0) == lost.value.where
    senseless = connection(kafka_server.bootstrap_servers, no_such_option="1")
    with pytest.raises(ConnectionMissing, match=r"no\.such\.option"):
        EnvoyCluster(some, senseless)
    with closing(EnvoyCluster(some, kafka_server.connection)):
        assert [pid] == some.pids


def test_an_envoy_tells_what_a_quota_held_back_of_these_answers_and_of_no_earlier_ones(
    kafka_server: KafkaServer, some: Envoys, topic: str
) -> None:
    named = kafka_server.named("envoy")
    with kafka_server.limited_client("envoy", request_percentage=0.1):

        def held_back() -> float:
            with closing(EnvoyCluster(some, named, timeout_seconds=60)) as there:
                there.view(topic, None)
                return there.throttled_seconds()

        poll(held_back, "the quota", seconds=60)
    with closing(EnvoyCluster(some, named)) as there:
        assert 0 == there.throttled_seconds()


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_envoy_that_dies_in_a_question_takes_nobody_with_it(
    kafka_server: KafkaServer,
    some: Envoys,
    silent: KafkaConnection,
    topic: str,
    name: str,
    how: str,
) -> None:
    with closing(EnvoyCluster(some, silent, timeout_seconds=60)) as there:
        (pid,) = some.pids
        envoy = there._envoy
        assert envoy is not None
        with ThreadPoolExecutor() as other:
            asked = other.submit(QUESTIONS[name], there, "t")
            poll(lambda: not envoy.is_free, "the question")
            os.kill(pid, SIGNALS[how])
            with pytest.raises(KafkaUnavailable) as error:
                asked.result()
        assert f"ended by signal {SIGNALS[how]:d}" in error.value.what
        assert f"its question: {name}" in error.value.what
        assert silent.bootstrap_servers in error.value.what
        assert [] == some.pids
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        assert [pid] != some.pids
        QUESTIONS[name](there, topic)


def test_the_next_question_of_the_same_cluster_is_put_by_another_envoy(
    kafka_server: KafkaServer, some: Envoys, topic: str
) -> None:
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        before = there.view(topic, None)
        os.kill(some.pids[0], signal.SIGKILL)
        with pytest.raises(KafkaUnavailable, match=r"signal 9 .*asks again by itself"):
            there.view(topic, None)
        assert before == there.view(topic, None)


def test_one_that_dies_at_rest_is_not_noticed(
    kafka_server: KafkaServer, some: Envoys, topic: str
) -> None:
    for number in (signal.SIGKILL, signal.SIGABRT):
        with closing(EnvoyCluster(some, kafka_server.connection)) as there:
            there.view(topic, None)
        os.kill(some.pids[0], number)
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        there.view(topic, None)


def test_a_stopped_one_is_ended_and_its_late_answer_is_nobodys(
    kafka_server: KafkaServer, some: Envoys, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late answer that the next one got would be another topic's watermarks."""
    monkeypatch.setattr(envoy_cluster, "_GRACE_SECONDS", 0.5)
    empty = kafka_server.create_topic()
    with closing(EnvoyCluster(some, kafka_server.connection, timeout_seconds=1)) as there:
        late = psutil.Process(some.pids[0])
        late.suspend()
        with pytest.raises(KafkaUnavailable, match=r"no answer within 2\.5 s and was ended"):
            there.view(topic, None)
        with suppress(psutil.NoSuchProcess):
            late.resume()
        assert 0 == there.view(empty, None).watermarks[0].end
        assert not late.is_running()


def test_a_client_is_for_one_connection_only(
    kafka_server: KafkaServer, some: Envoys, silent: KafkaConnection, topic: str
) -> None:
    """The client that an envoy keeps would answer for another Kafka."""
    with closing(EnvoyCluster(some, kafka_server.connection, timeout_seconds=1)) as there:
        assert 3 == there.view(topic, None).watermarks[0].end
    with closing(EnvoyCluster(some, silent, timeout_seconds=1)) as nobody:
        with pytest.raises(KafkaUnavailable, match="gave no answer within 1 s"):
            nobody.view(topic, None)
        assert 1 == len(some.pids)


def test_a_client_is_kept_from_look_to_look_until_an_error_or_for_a_minute(
    kafka_server: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = envoy_process._Desk()
    opening = Question("open", (kafka_server.connection,), {"timeout_seconds": 10})

    def client() -> Cluster | None:
        assert desk.reply(opening).error is None
        assert desk.reply(Question("view", (topic, None), {})).answer.partitions == (0,)
        return desk._cluster

    first = client()
    assert first is client()
    assert isinstance(desk.reply(Question("view", ("no-such", None), {})).error, TopicMissing)
    second = client()
    assert first is not second
    monkeypatch.setattr(envoy_process, "_KEPT_SECONDS", 0)
    assert second is not client()


def test_what_was_heard_of_one_look_is_not_said_of_the_next(kafka_server: KafkaServer) -> None:
    with closing(Cluster(kafka_server.connection)) as cluster:
        cluster._listener(KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED))
        cluster.forget()
        assert not cluster._listener.login_refused


def test_an_error_that_is_none_of_ours_ends_the_envoy_and_not_the_one_that_asks(
    kafka_server: KafkaServer, some: Envoys, topic: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        with pytest.raises(KafkaUnavailable, match="ended with exit status 1"):
            there.offsets_at(topic, (0,), "no moment")  # type: ignore[arg-type]
        assert "AttributeError" in capfd.readouterr().err
        assert 3 == there.view(topic, None).watermarks[0].end


def test_an_interrupt_at_a_terminal_and_a_strange_folder_are_nothing_to_it(
    kafka_server: KafkaServer, some: Envoys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with closing(EnvoyCluster(some, kafka_server.connection)):
        assert os.getpgrp() != os.getpgid(some.pids[0])


def test_one_that_is_stopped_at_rest_is_passed_over(
    kafka_server: KafkaServer, some: Envoys, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_cluster, "_GRACE_SECONDS", 0.5)
    with closing(EnvoyCluster(some, kafka_server.connection)):
        (pid,) = some.pids
    psutil.Process(pid).suspend()
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        assert 3 == there.view(topic, None).watermarks[0].end
    assert not psutil.pid_exists(pid)


def test_a_question_that_is_larger_than_the_line_ends_at_a_stopped_one(
    kafka_server: KafkaServer, some: Envoys, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frameferry.kafka.envoy._STALL_SECONDS", 1)
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        psutil.Process(some.pids[0]).suspend()
        with pytest.raises(
            KafkaUnavailable, match=r"within 1 s and was ended \(its question: mirrored"
        ):
            there.mirrored("g", topic, range(1_000_000))


def test_a_life_is_bounded_in_sessions_in_memory_and_in_idleness(
    kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(some: Envoys, times: int) -> list[int]:
        seen = []
        for _ in range(times):
            with closing(EnvoyCluster(some, kafka_server.connection)):
                seen += some.pids
        return seen

    with closing(Envoys(sessions=2)) as some:
        first, second, third = asked(some, 3)
        assert first == second != third
    monkeypatch.setattr(envoys, "RESIDENT_BYTES", 1)
    with closing(Envoys()) as some:
        assert 2 == len(set(asked(some, 2)))
    monkeypatch.undo()
    with closing(Envoys(idle_seconds=0.2)) as some:
        (pid,) = asked(some, 1)
        poll(lambda: not some.pids, "the end of an idle envoy")
        poll(lambda: not psutil.pid_exists(pid), "what was left of it to be gone")


def test_one_that_died_at_rest_leaves_no_zombie(kafka_server: KafkaServer) -> None:
    with closing(Envoys(idle_seconds=600)) as some:
        some._idle_seconds = 0.2
        with closing(EnvoyCluster(some, kafka_server.connection)):
            (pid,) = some.pids
        some._idle_seconds = 600
        os.kill(pid, signal.SIGKILL)
        poll(lambda: not psutil.pid_exists(pid), "the end of the zombie", seconds=5)


def test_envoys_are_few_and_a_silent_kafka_keeps_no_other_waiting(
    kafka_server: KafkaServer, some: Envoys, silent: KafkaConnection, topic: str
) -> None:
    def ask_nobody() -> str:
        try:
            with closing(EnvoyCluster(some, silent, timeout_seconds=4)) as nobody:
                nobody.view("t", None)
        except KafkaUnavailable as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(16) as others:
        began = time.monotonic()
        asked = [others.submit(ask_nobody) for _ in range(16)]
        poll(lambda: len(some.pids) == envoys.AT_ONCE_EACH, "the envoys", every=0.01)
        with closing(EnvoyCluster(some, kafka_server.connection)) as there:
            assert 3 == there.view(topic, None).watermarks[0].end
            assert envoys.AT_ONCE_EACH + 1 == len(some.pids)
        assert not any(answer.done() for answer in asked)
        # Those in line have the answer of those before them, and do not wait for one more.
        assert all("gave no answer within" in answer.result() for answer in asked)
        assert time.monotonic() - began < 7


def test_no_secret_is_in_its_arguments_or_its_environment(
    kafka_server: KafkaServer, some: Envoys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PLANT_KAFKA", '{"password": "hush-hush"}')
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://u:hush-hush@h/d")
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", "postgresql://u:hush-hush@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    secretive = connection(
        kafka_server.bootstrap_servers,
        sasl_username="u",
        sasl_password="hush-hush",
        security_protocol="sasl_plaintext",
        sasl_mechanism="PLAIN",
    )
    with closing(EnvoyCluster(some, secretive)) as there:
        process = psutil.Process(some.pids[0])
        assert "hush-hush" not in str(process.cmdline())
        assert "hush-hush" not in str(process.environ())
        assert "PATH" in process.environ()
        with pytest.raises(KafkaUnavailable, match="refused the log-in") as error:
            there.view("t", None)
    assert "hush-hush" not in str(error.value)


def test_it_ends_with_the_process_that_asks_also_in_a_question(silent: KafkaConnection) -> None:
    argv = [sys.executable, str(CHILD), silent.bootstrap_servers]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        envoy = psutil.Process(int(child.stdout.readline()))
        child.kill()
        poll(partial(is_over, envoy), "the envoy's end", seconds=10)


def test_a_forked_child_has_envoys_of_its_own(
    kafka_server: KafkaServer, some: Envoys, topic: str
) -> None:
    """On one line, two processes would get each other's answers."""
    with closing(EnvoyCluster(some, kafka_server.connection)) as there:
        (mine,) = some.pids
        child = os.fork()
        if child == 0:
            os._exit(_answered_in_a_child(some, kafka_server.connection, topic, mine))
        assert (child, 0) == os.waitpid(child, 0)
        assert 3 == there.view(topic, None).watermarks[0].end
        assert [mine] == some.pids


def _answered_in_a_child(some: Envoys, to: KafkaConnection, topic: str, parents: int) -> int:
    with closing(some), closing(EnvoyCluster(some, to)) as there:
        is_whole = there.view(topic, None).watermarks[0].end == 3
        return 0 if is_whole and parents not in some.pids and len(some.pids) == 1 else 1


def test_a_program_that_cannot_start_is_said(
    kafka_server: KafkaServer, some: Envoys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frameferry.kafka.envoy._PROGRAM", "frameferry.no_such_program")
    with pytest.raises(KafkaUnavailable, match="ended with exit status 1"):
        EnvoyCluster(some, kafka_server.connection)
    monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    with pytest.raises(KafkaUnavailable, match="could not be started"):
        EnvoyCluster(some, kafka_server.connection)
