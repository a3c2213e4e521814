"""Choose what to ask of an installation, and ask it: the ledger first, since others need it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from frameferry.config.connections import (
    ConnectionResolver,
    SparkConnection,
    ftp_connection,
    kafka_connection,
    spark_connection,
)
from frameferry.config.folder import load_all, shared_places
from frameferry.config.home import home, ledger_url, pipelines_folder
from frameferry.config.pools import pool_slots
from frameferry.config.settings import PipelineSettings
from frameferry.domain.alarms import Severity
from frameferry.domain.signs import Answer, Sign, Verdict, fine, warning, wrong
from frameferry.errors import ConfigError, FrameferryError
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.operations.doctor import machine, servers
from frameferry.operations.doctor.asking import Question, ask_all
from frameferry.operations.doctor.book import ledger as look_at_ledger
from frameferry.operations.status import status
from frameferry.operations.upkeep import ledger_fitness
from frameferry.pipeline.context import Context
from frameferry.spark.route import check_model

QUESTIONS: Final[Mapping[str, str]] = {
    "files": "each pipeline's file: whether it can be read, and its model's files and card",
    "packages": "Python, and each package against what this one asks for; pyspark and its client",
    "java": "the Java of spark-submit, where a pipeline's Spark is not Spark Connect",
    "airflow": "Airflow's version, and its pools against those that the pipelines need",
    "room": "room where `FRAMEFERRY_HOME` lies",
    "ledger": "schema against this program's, rights of the account, the database's clock, "
    "room of SQLite's file, pipelines to recover",
    "topic": "log-in and rights, replicas in sync, retention against `watch.retention_hours`, "
    "records dated ahead of our clock",
    "mirror": "how long Kafka keeps the offsets of a group that nobody joins",
    "status": "what `frameferry status` says: each alarm, among them retention against the backlog",
    "ftp": "one log-in through the ledger, TLS, rights in the base, the server's clock (MDTM)",
    "spark": "the server's version against the client's, and its settings; of a master whether it "
    "listens",
    "model": "the digest of the model on Spark's workers against the one here, by a small job",
}
"""What is asked, and what it looks at; docs/doctor.md has this table."""
_ONCE: Final = 60.0
NOT_ASKED: Final = "not asked: the ledger, which it goes by, is not fit for use"
_MEND: Final = "Mend the ledger first"


@dataclass(frozen=True)
class Installation:
    """The pipelines, and the way to their connections; each connection is resolved once."""

    pipelines: Mapping[Path, PipelineSettings]
    broken: Mapping[Path, ConfigError]
    resolve: ConnectionResolver
    airflow: Mapping[str, str]


def diagnose(
    resolve: ConnectionResolver,
    *,
    airflow: Mapping[str, str],
    pipeline: str | None = None,
    seconds: float = _ONCE,
) -> Iterator[Sign]:
    """
    Look at everything, and give the signs as they come.

    Nothing is changed, but for a folder in each pipeline's base, which goes again.

    Args:
        resolve: Finds connections.
        airflow: The environment that leads to Airflow's database.
        pipeline: Look only at what this one needs; None for all.
        seconds: What each question may take, eight at once.
    """
    try:
        whole, broken = load_all(pipelines_folder())
    except ConfigError as error:
        whole, broken = {}, {pipelines_folder(): error}
    chosen = {p: one for p, one in whole.items() if pipeline in {None, one.pipeline}}
    known = Installation(chosen, broken if pipeline is None else {}, cache(resolve), airflow)
    yield from ask_all([*_of_files(known), *_of_machine(known)], seconds=seconds)
    yield from ask_all([Question("ledger", "", look_at_ledger)], seconds=seconds)
    with _gate(seconds) as (ledger, is_real):
        yield from ask_all(list(_of_servers(known, ledger, is_real=is_real)), seconds=seconds)


def _of_files(known: Installation) -> Iterator[Question]:
    shared = shared_places(known.pipelines, known.resolve)
    for path, settings in known.pipelines.items():
        yield Question("files", path.name, partial(_file, settings, shared.get(path)))
    for path, error in known.broken.items():
        yield Question("files", path.name, partial(_raised, error))
    if not known.pipelines and not known.broken:
        missing = ConfigError("no pipeline file", remedy="Add one YAML file per equipment")
        yield Question("files", str(pipelines_folder()), partial(_raised, missing))


def _file(settings: PipelineSettings, shared: ConfigError | None) -> Iterator[Answer]:
    if shared is not None:
        raise shared
    if settings.model != "none":
        check_model(settings.model)
    yield fine("whole")


def _raised(error: FrameferryError) -> Iterator[Answer]:
    yield wrong(error.what, error.remedy)


def _of_machine(known: Installation) -> Iterator[Question]:
    yield Question("packages", "", machine.packages)
    if _needs_java(known):
        yield Question("java", "", machine.java)
    slots = pool_slots(known.pipelines.values())
    yield Question("airflow", "", lambda: machine.airflow(slots, known.airflow))
    yield Question("room", str(home()), lambda: machine.room(home()))


def _needs_java(known: Installation) -> bool:
    """Say whether a pipeline's Spark is reached by spark-submit; one that is not defined is not."""
    for settings in _judging(known):
        try:
            if not _spark(known, settings).is_connect:
                return True
        except FrameferryError:
            continue
    return False


def _of_servers(known: Installation, ledger: Ledger | None, *, is_real: bool) -> Iterator[Question]:
    for settings in known.pipelines.values():
        yield Question("topic", settings.pipeline, _topic(known, settings))
    for conn_id in dict.fromkeys(one.kafka.connection for one in known.pipelines.values()):
        yield Question("mirror", conn_id, _mirror(known, conn_id))
    for settings in known.pipelines.values():
        if is_real or ledger is None:
            yield Question("status", settings.pipeline, _status(known, settings, ledger))
        yield Question("ftp", settings.pipeline, _ftp(known, settings, ledger))
    for settings in {one.spark.connection: one for one in _judging(known)}.values():
        yield Question("spark", settings.spark.connection, _spark_server(known, settings))
    for settings in _judging(known):
        yield Question("model", settings.pipeline, _model(known, settings))


Ask = Callable[[], Iterable[Answer]]


def _topic(known: Installation, settings: PipelineSettings) -> Ask:
    return lambda: servers.topic(
        kafka_connection(known.resolve(settings.kafka.connection)), settings
    )


def _mirror(known: Installation, conn_id: str) -> Ask:
    return lambda: servers.mirror(kafka_connection(known.resolve(conn_id)))


def _ftp(known: Installation, settings: PipelineSettings, ledger: Ledger | None) -> Ask:
    def ask() -> Iterator[Answer]:
        connection = ftp_connection(known.resolve(settings.deliver.connection))
        if ledger is None:
            yield warning(NOT_ASKED, f"{_MEND}: it keeps a refused password from being tried again")
            return
        yield from servers.ftp(ledger, connection, settings.deliver.base)

    return ask


def _status(known: Installation, settings: PipelineSettings, ledger: Ledger | None) -> Ask:
    def ask() -> Iterator[Answer]:
        if ledger is None:
            yield warning(NOT_ASKED, _MEND)
            return
        told = status(Context(settings, ledger, known.resolve))
        for alarm in told.alarms:
            is_critical = alarm.severity is Severity.CRITICAL
            verdict = Verdict.WRONG if is_critical else Verdict.WARN
            yield Answer(verdict, alarm.sentence, f"See docs/alarms.md, {alarm.kind}")
        if not told.alarms:
            yield fine(f"healthy; {told.counts.records:,} records")

    return ask


def _spark_server(known: Installation, settings: PipelineSettings) -> Ask:
    def ask() -> Iterator[Answer]:
        connection = _spark(known, settings)
        if connection.is_connect:
            yield from servers.spark(connection, settings.batch.max_records)
        else:
            yield from servers.listens(connection)

    return ask


def _model(known: Installation, settings: PipelineSettings) -> Ask:
    def ask() -> Iterator[Answer]:
        connection = _spark(known, settings)
        if settings.model != "none" and connection.is_connect:
            yield from servers.model(connection, settings.model)

    return ask


def _judging(known: Installation) -> list[PipelineSettings]:
    return [one for one in known.pipelines.values() if one.model != "none"]


def _spark(known: Installation, settings: PipelineSettings) -> SparkConnection:
    return spark_connection(known.resolve(settings.spark.connection))


@contextmanager
def _gate(seconds: float) -> Iterator[tuple[Ledger | None, bool]]:
    """
    Open the ledger if nothing has to be made or upgraded for it; say whether it is the real one.

    Where there is none yet, log-ins take turns in one that is gone afterwards. Where there is one
    that cannot be used, nobody knows whether a password was refused before: nothing is given.
    """
    found: list[tuple[str | None, bool]] = []

    def look() -> Iterator[Answer]:
        fitness = ledger_fitness()
        usable = fitness is None or fitness.state.version == fitness.state.newest_version
        found.append((None if fitness is None else ledger_url(), usable))
        yield fine("")

    list(ask_all([Question("ledger", "", look)], seconds=seconds))
    url, usable = found[0] if found else ("", False)
    if not usable:
        yield None, False
    elif url is not None:
        with closing(open_ledger(url)) as ledger:
            yield ledger, True
    else:
        with (
            tempfile.TemporaryDirectory(prefix="frameferry-doctor-") as folder,
            closing(open_ledger(f"sqlite:///{folder}/ledger.db")) as ledger,
        ):
            yield ledger, False
