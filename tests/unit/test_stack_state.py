from __future__ import annotations

import json
import stat

import pytest

from frameferry.errors import StackError
from frameferry.stack.processes import Spawned
from frameferry.stack.state import ServerRecord, StateFile, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read_again(tmp_path):
    files = StateFile(tmp_path)
    spawned = {"kafka": Spawned(4711, 12.5)}
    record = ServerRecord(
        spawned, {"broker": 9092}, "digest", wanted=True, revived=[13.5], given_up="too often"
    )
    files.change(lambda state: state.servers.update(kafka=record))

    again = StateFile(tmp_path).state
    assert files.state == again
    assert {"kafka": record} == again.servers


@pytest.mark.parametrize("processes", [{}, {"ftp": {"pid": 4711, "started": 12.5}}])
def test_of_an_older_file_what_ran_is_wanted(tmp_path, processes):
    old = {"processes": processes, "ports": {"control": 2121}, "digest": "digest"}
    (tmp_path / "stack.json").write_text(json.dumps({"token": "t", "servers": {"ftp": old}}))
    record = StateFile(tmp_path).state.server("ftp")
    assert bool(processes) == record.wanted == record.is_down


def test_only_the_owner_may_read_it_even_if_the_old_one_was_open_to_all(tmp_path):
    path = tmp_path / "stack.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_private(path, "secret")
    assert 0o600 == mode(path)
    assert "secret" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_secret_is_made_once_and_written_at_once(tmp_path):
    files = StateFile(tmp_path)
    first = files.secret("ftp.password")
    assert 64 == len(first)
    assert first == files.secret("ftp.password")
    assert first == StateFile(tmp_path).secret("ftp.password")
    assert first != files.secret("airflow.password")
    assert 0o600 == mode(files.path)


def test_two_homes_have_two_marks(tmp_path):
    assert StateFile(tmp_path / "a").state.mark() != StateFile(tmp_path / "b").state.mark()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"servers": {"kafka": {}}}', '{"x": 1}'])
def test_a_damaged_file_is_said_in_one_line(tmp_path, content):
    (tmp_path / "stack.json").write_text(content)
    with pytest.raises(StackError, match=r"stack\.json cannot be read\. Delete it"):
        StateFile(tmp_path)


def test_secrets_do_not_show_in_a_repr(tmp_path):
    files = StateFile(tmp_path)
    secret = files.secret("ftp.password")
    assert secret not in repr(files.state)
    assert secret in json.loads(files.path.read_text())["secrets"].values()
