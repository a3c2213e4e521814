"""The page when the servers behind it are down: said within seconds, in words, as no error."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from fixtures.page import settings_of

from frameferry.config.raw import RawConnection
from frameferry.domain.status import Status, Unasked
from frameferry.page.asking import KAFKA_TIMEOUT_SECONDS, ask_with
from frameferry.page.survey import PATIENCE_SECONDS, Survey, Surveyor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARGIN_SECONDS = 4


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def survey(tmp_path: Path, port: int) -> Survey:
    """Ask one pipeline whose Kafka is at this port."""
    whole = {tmp_path / "press-a.yaml": settings_of("press-a")}

    def resolve(conn_id: str) -> RawConnection:
        extra = {"bootstrap.servers": f"127.0.0.1:{port}"}
        return RawConnection(conn_id, "kafka", extra=extra)

    return Surveyor(ask_with(resolve), load=lambda: (whole, {})).survey()


def test_a_kafka_that_never_answers_costs_a_viewer_seconds_and_is_said(
    tmp_path: Path, silent_port: int
) -> None:
    started = time.monotonic()
    (found,) = survey(tmp_path, silent_port).pipelines
    assert time.monotonic() - started < KAFKA_TIMEOUT_SECONDS + MARGIN_SECONDS
    assert isinstance(found, Status)
    assert "kafka" in found.advice[0].lower()
    assert 0 == found.counts.records


def test_a_ledger_that_is_down_is_said(
    tmp_path: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", "postgresql://nobody:secret@127.0.0.1:1/nothing")
    started = time.monotonic()
    (found,) = survey(tmp_path, silent_port).pipelines
    assert time.monotonic() - started < PATIENCE_SECONDS + MARGIN_SECONDS
    assert isinstance(found, Unasked)
    assert "ledger" in found.error
    assert "secret" not in str(found)
