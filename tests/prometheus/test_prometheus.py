"""The rules and the dashboard in a real Prometheus, which scrapes what we write."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.page import alarm_of, status_of
from fixtures.polling import poll
from fixtures.real_ftp import debian_root

from frameferry.domain.alarms import AlarmKind
from frameferry.domain.status import LabelShare
from frameferry.operations.monitor.exposition import exposed
from frameferry.operations.monitor.gauges import ALL, samples

ROOT = Path(__file__).parents[2]
RULES = ROOT / "include/monitoring/prometheus-rules.yaml"
DASHBOARD = ROOT / "include/monitoring/grafana-dashboard.json"
HOSTILE = 'crack "}\n\\'
"""A label as a model's card may have it."""


def program(name: str) -> str:
    return str(debian_root("prometheus") / "usr/bin" / name)


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def text() -> str:
    """What `frameferry metrics` prints of a pipeline that is blocked."""
    blocked = status_of("press-a", alarms=(alarm_of("…", AlarmKind.BLOCKED),))
    odd = (*blocked.label_shares, LabelShare(HOSTILE, 0.5, 0.4))
    answers = [replace(blocked, label_shares=odd), status_of("press-b")]
    return exposed(samples(answers, datetime.now(UTC)))


class Metrics(BaseHTTPRequestHandler):
    """Serve the text as a node's exporter would."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write(text().encode())

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def serving() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with serving() as exporter:
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(RULES)],
                    "scrape_configs": [
                        {
                            "job_name": "frameferry",
                            "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}],
                        }
                    ],
                }
            )
        )
        argv = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=dict(os.environ))
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            process.terminate()
            process.wait(30)


def asked(prometheus: str, path: str, **query: str) -> Any:
    url = f"{prometheus}/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        told = json.load(answer)
    assert told["status"] == "success", told
    return told["data"]


def found(prometheus: str, expression: str) -> Any:
    with suppress(OSError):
        return asked(prometheus, "query", query=expression)["result"]
    return []


def test_the_rules_are_rules_and_fire_when_they_should(tmp_path: Path) -> None:
    assert "SUCCESS: 6 rules found" in promtool("check", "rules", str(RULES))
    tests = (Path(__file__).parent / "rules_test.yaml").read_text()
    (tmp_path / "test.yaml").write_text(tests.replace("RULES", str(RULES)))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_the_text_is_what_promtool_takes() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_metric_is_scraped_with_labels_of_any_kind(prometheus: str) -> None:
    poll(lambda: found(prometheus, "frameferry_healthy"), "the first scrape")
    for gauge in ALL:
        rows = found(prometheus, gauge.full_name)
        assert rows, gauge.full_name
        assert set(gauge.label_names) <= set(rows[0]["metric"])
    (odd,) = found(prometheus, 'frameferry_label_share{window="recent", label=~"(?s)crack.*"}')
    assert odd["metric"]["label"] == HOSTILE


def test_every_panel_of_the_dashboard_has_something_to_show(prometheus: str) -> None:
    poll(lambda: found(prometheus, "frameferry_healthy"), "the first scrape")
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$pipeline", ".*")
            assert found(prometheus, expression), panel["title"]


def test_a_blocked_pipeline_is_an_alert_that_fires(prometheus: str) -> None:
    def firing() -> list[dict[str, str]]:
        with suppress(OSError):
            alerts = asked(prometheus, "alerts")["alerts"]
            return [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        return []

    poll(firing, "the first evaluation")
    (labels,) = firing()
    assert (labels["alertname"], labels["pipeline"], labels["kind"]) == (
        "FrameferryCritical",
        "press-a",
        "blocked",
    )
