"""A service as its container runs it: in the foreground, set up by its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from fixtures.polling import poll

from frameferry.stack import health, ports, service

SERVICE = [sys.executable, "-m", "frameferry.stack.service"]
PASSWORD = "of-the-test-0123456789"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    # Other than a container's: this machine's own may be taken.
    chosen = ports.choose({"control": 1, "passive": 64}, {})
    setting = f"from frameferry.stack import ports; ports.WELL_KNOWN.update({chosen})"
    (tmp_path / "sitecustomize.py").write_text(setting)
    return {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "FRAMEFERRY_HOME": str(tmp_path / "home"),
        "FRAMEFERRY_SECRET_FTP_PASSWORD": PASSWORD,
    }


def check(environment):
    argv = [sys.executable, "-m", "frameferry.stack.health", "ftp"]
    return subprocess.run(argv, env=environment, timeout=60, check=False).returncode


def test_it_becomes_the_server_and_ends_when_it_is_told_to(environment, tmp_path):
    assert set(health.CHECKS) <= set(service.SERVICES)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*SERVICE, "ftp"], env=environment, stdout=log, stderr=log)
    try:
        poll(lambda: check(environment) == 0 or server.poll() is not None, "the server", seconds=60)
        assert server.poll() is None, (tmp_path / "log").read_text()
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    finally:
        server.kill()
        server.wait()
    assert 1 == check(environment)
    assert PASSWORD not in (tmp_path / "log").read_text()
