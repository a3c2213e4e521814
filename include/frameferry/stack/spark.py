"""A Spark Connect server from the installed pyspark: `local[2]`, its workers run our Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frameferry.stack import layout, ports
from frameferry.stack.java import find_java
from frameferry.stack.processes import Command
from frameferry.stack.servers import Kind, Setting

MAIN_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
# Values after these words, in plans, logs and event logs, are shown as a placeholder.
_REDACTED_KEYS = "(?i)secret|password|token|access[.]?key|jaas"
_REDACTED_TEXT = r"(?i)(password|secret|token)\s*=\s*\S+"


@dataclass(frozen=True, slots=True)
class ConnectServer:
    """
    A Spark Connect server on *port*.

    Args:
        host: The address to listen on. The server does not ask who anybody is: keep it on
            loopback, or in a network of its own.
        advertised_host: The host name that workers elsewhere are told; they have to reach this one.
        master: `local[2]`, or the master of a cluster.
    """

    folder: Path
    log: Path
    port: int
    host: str = ports.LOOPBACK
    advertised_host: str = ports.LOOPBACK
    master: str = "local[2]"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"sc://{self.host}:{self.port}"

    def prepare(self) -> None:
        """Write the server's settings."""
        write_logging(self.folder)
        self._pools_file.write_text(_POOLS, encoding="utf-8")
        # Java reads a properties file and takes a lone backslash for the start of an escape.
        lines = [f"{key} {value}".replace("\\", "\\\\") for key, value in self.conf().items()]
        self._conf_file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def commands(self) -> Mapping[str, Command]:
        """One process; the Python workers are its children."""
        return {"spark": self.command()}

    def command(self) -> Command:
        """What runs the server."""
        argv = [
            str(layout.pyspark() / "bin" / "spark-submit"),
            "--class",
            MAIN_CLASS,
            "--master",
            self.master,
            "--properties-file",
            str(self._conf_file),
            "spark-internal",
        ]
        return Command(tuple(argv), folder=self.folder, log=self.log, env=self.environment())

    def environment(self) -> dict[str, str]:
        """What Spark reads from its environment; its workers inherit it."""
        listening = {"SPARK_LOCAL_IP": ports.LOOPBACK} if self._is_alone else {}
        return {**environment(self.folder), **listening}

    def conf(self) -> dict[str, str]:
        """List the server's settings, by Spark's own names."""
        return {
            **CONF,
            "spark.connect.grpc.binding.address": self.host,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.driver.bindAddress": ports.LOOPBACK if self._is_alone else self.host,
            "spark.driver.host": ports.LOOPBACK if self._is_alone else self.advertised_host,
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
            "spark.scheduler.allocation.file": f"file://{self._pools_file}",
        }

    def is_ready(self) -> bool:
        """Try its port: Spark opens it last."""
        return ports.answers(self.port)

    @property
    def _is_alone(self) -> bool:
        """Say whether its workers are its own children, so that nobody else has to reach it."""
        return self.master.startswith("local")

    @property
    def _conf_file(self) -> Path:
        return self.folder / "spark.conf"

    @property
    def _pools_file(self) -> Path:
        return self.folder / "fairscheduler.xml"


def environment(folder: Path) -> dict[str, str]:
    """What each process of Spark's reads from its environment; its workers inherit it."""
    return {
        "SPARK_HOME": str(layout.pyspark()),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_DIRS": str(folder / "tmp"),
        "PYSPARK_PYTHON": layout.python(),
        "PYSPARK_DRIVER_PYTHON": layout.python(),
        "JAVA_HOME": str(find_java().resolve().parents[1]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
    }


def write_logging(folder: Path) -> None:
    """Let what runs in this folder log to its standard error, warnings and worse."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")


def build(setting: Setting) -> ConnectServer:
    """Describe the Spark Connect server of a home."""
    return ConnectServer(
        folder=setting.home / "spark", log=setting.log("spark"), port=setting.ports["connect"]
    )


KIND = Kind("spark", ports={"connect": 1}, deadline_seconds=300, build=build)

CONF = {
    "spark.app.name": "frameferry",
    "spark.ui.enabled": "false",
    # The JVM never holds a picture: workers read Kafka, and rows are small.
    "spark.driver.memory": "512m",
    # A JVM out of memory should die and be started again, not linger.
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 "
    "-XX:+ExitOnOutOfMemoryError",
    # No image ever reaches the driver; a job that tries should fail early.
    "spark.driver.maxResultSize": "64m",
    "spark.sql.shuffle.partitions": "2",
    # The session stays: its Python workers hold the loaded models.
    "spark.connect.session.manager.defaultSessionTimeout": "-1",
    "spark.python.worker.reuse": "true",
    "spark.python.daemon.module": "frameferry.spark.daemon",
    # Jobs take turns at the cores, so that a small one does not wait for a large one's end.
    "spark.scheduler.mode": "FAIR",
    "spark.redaction.regex": _REDACTED_KEYS,
    "spark.redaction.string.regex": _REDACTED_TEXT,
    "spark.sql.redaction.options.regex": _REDACTED_KEYS,
    "spark.sql.redaction.string.regex": _REDACTED_TEXT,
}

_POOLS = """\
<?xml version="1.0"?>
<allocations>
  <pool name="default">
    <schedulingMode>FAIR</schedulingMode>
  </pool>
</allocations>
"""
_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ssXXX} %p %m (%c{1})%n%ex
logger.connect.name = org.apache.spark.sql.connect.service.SparkConnectServer
logger.connect.level = info
"""
