"""One Kafka broker, its own controller (KRaft). Its data survives a kill and the next start."""

from __future__ import annotations

import base64
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frameferry.errors import StackError
from frameferry.stack import health, ports
from frameferry.stack.jars import jars
from frameferry.stack.java import find_java
from frameferry.stack.processes import Command
from frameferry.stack.servers import Kind, Setting
from frameferry.stack.state import write_private

MAX_MESSAGE_BYTES = 60 * 1000**2
"""Room for the largest picture that a pipeline judges by default, 50 MiB, and its headers."""
_HEAP = ("-Xms128m", "-Xmx512m")
_FORMAT_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Broker:
    """
    A broker on *port* whose controller listens on *controller_port*.

    Args:
        host: The address to listen on.
        advertised_host: The address that clients are told.
    """

    folder: Path
    log: Path
    port: int
    controller_port: int
    host: str = ports.LOOPBACK
    advertised_host: str = ports.LOOPBACK

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` for clients."""
        return f"{self.advertised_host}:{self.port}"

    def prepare(self) -> None:
        """Write the broker's settings; format its data folder at the first start."""
        self.prepare_with(self.properties)

    def prepare_with(self, properties: Callable[[Path], Mapping[str, str | int]]) -> None:
        """Prepare by other settings than its own: *properties* of a data folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.yaml").write_text(_LOG4J, encoding="utf-8")
        _write_properties(self._properties_file, properties(self._data))
        if not self._data.is_dir():
            self._format(properties)

    def commands(self) -> Mapping[str, Command]:
        """One process."""
        return {"kafka": self.command()}

    def command(self) -> Command:
        """What runs the broker."""
        argv = (*java(self.folder), *_HEAP, "kafka.Kafka", str(self._properties_file))
        return Command(argv, folder=self.folder, log=self.log)

    def is_ready(self) -> bool:
        """Ask for the cluster's metadata."""
        return health.kafka_answers(self.port)

    def properties(self, data: Path) -> dict[str, str | int]:
        """List the broker's settings, by Kafka's own names."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            # Voters as a fixed list, not in the log: the port may change between two starts.
            "controller.quorum.voters": f"1@{ports.LOOPBACK}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://{self.host}:{self.port},"
            f"CONTROLLER://{ports.LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.advertised_host}:{self.port}",
            "log.dirs": str(data),
            **_SETTINGS,
        }

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    def _format(self, properties: Callable[[Path], Mapping[str, str | int]]) -> None:
        """
        Format under another name, so that a killed start leaves no half folder.

        The name is new each time: the tool of a killed start may still be at work in its folder.
        """
        with tempfile.TemporaryDirectory(
            dir=self.folder, prefix=".format-", ignore_cleanup_errors=True
        ) as work:
            draft, settings = Path(work) / "data", Path(work) / "server.properties"
            _write_properties(settings, properties(draft))
            argv = [*java(self.folder), "kafka.tools.StorageTool", "format"]
            done = _run([*argv, "-t", _new_cluster_id(), "-c", str(settings)])
            if done.returncode != 0:
                msg = "the broker's data folder cannot be formatted"
                raise StackError(
                    msg, remedy=f"The tool said: {(done.stdout + done.stderr).strip()}"
                )
            draft.rename(self._data)


def _write_properties(path: Path, properties: Mapping[str, str | int]) -> None:
    """Write them for the owner's eyes only: there may be a password among them."""
    write_private(path, "".join(f"{key}={value}\n" for key, value in properties.items()))


def build(setting: Setting) -> Broker:
    """Describe the broker of a home."""
    return Broker(
        folder=setting.home / "kafka",
        log=setting.log("kafka"),
        port=setting.ports["broker"],
        controller_port=setting.ports["controller"],
    )


KIND = Kind("kafka", ports={"broker": 1, "controller": 1}, deadline_seconds=180, build=build)

_SETTINGS: dict[str, str | int] = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
    "num.partitions": 1,
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    # After a kill the controller waits this long for the dead broker before it admits the new one.
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,
    "log.retention.hours": 168,
}

_LOG4J = """\
Configuration:
  status: ERROR
  shutdownHook: disable
  appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "%d{yyyy-MM-dd'T'HH:mm:ssXXX} %p %m (%c{1})%n%ex{3}"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
"""


def java(folder: Path) -> list[str]:
    """Return the start of a command line of Kafka's programs; *folder* holds their log settings."""
    return [
        str(find_java()),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        # A JVM out of memory should die and be started again, not linger.
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.yaml'}",
        "-cp",
        f"{jars()}/*",
    ]


def _new_cluster_id() -> str:
    """Draw 16 bytes in base64; the first is 0, otherwise one in 64 begins with `-` as an option."""
    return base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"formatting the broker's data folder took over {_FORMAT_TIMEOUT_SECONDS} s"
        raise StackError(msg, remedy="Try again on a quieter machine") from error
