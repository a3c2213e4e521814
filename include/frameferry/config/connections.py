"""
Connections as plain settings, resolved by id.

In Airflow the providers' hooks resolve an id (UI, secrets backend); outside it the same id is read
from `AIRFLOW_CONN_<ID>`, as a URI or as JSON, in Airflow's own forms.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from frameferry.config.deployment import Deployment, spark_extra
from frameferry.config.raw import RawConnection, from_json, from_uri
from frameferry.errors import ConnectionMissing

DEFAULT_FTP_PORT = 21
DEFAULT_FTPS_PORT = 990
DEFAULT_KAFKA_PORT = 9092
DEFAULT_SPARK_CONNECT_PORT = 15002
DEFAULT_SPARK_MASTER_PORT = 7077
_MASTER_WORD = re.compile(r"local(-cluster)?(\[[^\]]*\])?|yarn")
_FTP_TYPES = frozenset({"", "ftp", "ftps", "generic"})


ConnectionResolver = Callable[[str], RawConnection]


class _Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    conn_id: str


ModelT = TypeVar("ModelT", bound=_Connection)
Option = str | int | float | bool


def _in_spark_words(value: object) -> object:
    """Write a JSON number or truth value as Spark's configuration does."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class KafkaConnection(_Connection):
    """A Kafka cluster: librdkafka's own option names, `bootstrap.servers` among them."""

    options: dict[str, Option] = Field(repr=False)

    @field_validator("options")
    @classmethod
    def _has_servers(cls, value: dict[str, Option]) -> dict[str, Option]:
        if not value.get("bootstrap.servers"):
            msg = "the connection's extra must hold bootstrap.servers"
            raise ValueError(msg)
        if str(value.get("enable.auto.commit", "false")).lower() == "true":
            msg = "enable.auto.commit must not be true: the ledger keeps the offsets"
            raise ValueError(msg)
        return value

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,…`."""
        return str(self.options["bootstrap.servers"])


class FtpConnection(_Connection):
    """An FTP server and how to talk to it. Time-outs in seconds."""

    host: str = Field(min_length=1)
    port: int = Field(default=DEFAULT_FTP_PORT, ge=1, le=65535)
    user: str = "anonymous"
    password: SecretStr = SecretStr("")
    tls: Literal["none", "explicit", "implicit"] = "none"
    verify: bool = True
    ca_cert: str | None = None
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    pipelining: Literal["auto", "deep", "safe", "alone", "off"] = "auto"
    passive: bool = True
    epsv: bool = True
    encoding: str = "utf-8"
    timeout_seconds: float = Field(default=30, gt=0, le=600)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            msg = f"{value!r} is not an encoding such as utf-8"
            raise ValueError(msg) from None
        return value

    @property
    def destination(self) -> str:
        """Name the server and account as the ledger records them; no secret."""
        return f"ftp://{self.user}@{_bracketed(self.host)}:{self.port}"

    @property
    def digest(self) -> str:
        """
        Digest what a log-in depends on, slowly, so that it does not betray the password.

        It changes exactly when host, port, user, password or anything about TLS changes.
        """
        salt = f"{self.tls}|{self.tls_minimum}|{self.verify}|{self.ca_cert}|{self.destination}"
        return hashlib.scrypt(
            self.password.get_secret_value().encode(errors="surrogatepass"),
            salt=salt.encode(errors="surrogatepass"),
            n=2**14,
            r=8,
            p=1,
            dklen=32,
        ).hex()


class SparkConnection(_Connection):
    """Spark Connect (`sc://host:port`), or a spark-submit master (`local[2]`, `yarn`, …)."""

    url: str
    token: SecretStr | None = None
    conf: dict[str, Annotated[str, BeforeValidator(_in_spark_words)]] = Field(
        default_factory=dict, repr=False
    )
    deployment: Deployment = Deployment()

    @model_validator(mode="after")
    def _can_be_deployed(self) -> Self:
        if self.is_connect and self.deployment != Deployment():
            msg = (
                f"{', '.join(sorted(self.deployment.model_fields_set))}: a Spark Connect server "
                "has its own; start it with them"
            )
            raise ValueError(msg)
        if self.deployment.deploy_mode == "cluster" and self.url != "yarn":
            msg = f"deploy_mode cluster is for YARN: {self.url} takes no Python driver"
            raise ValueError(msg)
        return self

    @property
    def is_local(self) -> bool:
        """Say whether the executors are on this machine."""
        return self.url.startswith("local")

    @property
    def is_connect(self) -> bool:
        """Say whether the warm Spark Connect route is meant."""
        return self.url.startswith("sc://")


def resolve_from_environment(conn_id: str) -> RawConnection:
    """
    Read `AIRFLOW_CONN_<ID>` as Airflow would.

    Raises:
        ConnectionMissing: The variable is not set, or is neither a URI nor JSON.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(variable, "").strip()
    if not text:
        msg = f"connection {conn_id!r} is not defined"
        raise ConnectionMissing(
            msg,
            remedy=f"Set {variable} to a URI or JSON (connections stored in Airflow's database "
            "are seen by its tasks only)",
        )
    try:
        return from_json(conn_id, text) if text.startswith("{") else from_uri(conn_id, text)
    except (ValueError, TypeError, AttributeError, RecursionError):
        msg = f"connection {conn_id!r} cannot be read from {variable}: it is neither a URI nor JSON"
        # Without its cause, which would quote the text, and so perhaps a password.
        raise ConnectionMissing(
            msg,
            remedy="Percent-encode special characters of a URI, or write JSON; "
            "see docs/configuration.md, section Connections",
        ) from None


def kafka_connection(raw: RawConnection) -> KafkaConnection:
    """
    Understand a connection as a Kafka cluster.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    options = dict(raw.extra)
    if "bootstrap.servers" not in options and raw.host:
        options["bootstrap.servers"] = f"{_bracketed(raw.host)}:{raw.port or DEFAULT_KAFKA_PORT}"
    return _validated(KafkaConnection, raw, {"options": options})


def ftp_connection(raw: RawConnection) -> FtpConnection:
    """
    Understand a connection as an FTP server.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    if raw.conn_type not in _FTP_TYPES:
        raise _senseless(raw, f"is of type {raw.conn_type}, not ftp")
    if raw.conn_type == "ftps" and "tls" not in raw.extra:
        raise _senseless(raw, "ftps: say in its extra whether tls is explicit or implicit")
    port = DEFAULT_FTPS_PORT if raw.extra.get("tls") == "implicit" else DEFAULT_FTP_PORT
    fields = {
        **_ftp_extra(raw),
        "host": raw.host,
        "port": raw.port or port,
        "user": raw.login or "anonymous",
        "password": raw.password,
    }
    return _validated(FtpConnection, raw, fields)


def _ftp_extra(raw: RawConnection) -> dict[str, Any]:
    """Take the extras by name: a misspelt `tls` must not send a password in the clear."""
    extra = {key: value for key, value in raw.extra.items() if not key.startswith("extra__")}
    if "timeout" in extra:
        extra["timeout_seconds"] = extra.pop("timeout")
    known = set(FtpConnection.model_fields) - {"conn_id", "host", "port", "user", "password"}
    if unknown := sorted(set(extra) - known):
        named = f"{', '.join(unknown)} (known are {', '.join(sorted(known))})"
        raise _senseless(raw, f"its extra holds the unknown key {named}")
    return extra


def spark_connection(raw: RawConnection) -> SparkConnection:
    """
    Understand a connection as Spark Connect or as a master for spark-submit.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    if not raw.host:
        raise _senseless(raw, "has no host")
    connects = raw.conn_type == "spark_connect" or raw.host.startswith("sc://")
    fields = {
        "url": _connect_url(raw) if connects else _master_url(raw),
        "token": raw.password or raw.extra.get("token"),
        **_spark_extra(raw),
    }
    return _validated(SparkConnection, raw, fields)


def _spark_extra(raw: RawConnection) -> dict[str, Any]:
    try:
        return spark_extra(raw.extra)
    except ValueError as error:
        raise _senseless(raw, str(error)) from None


def _connect_url(raw: RawConnection) -> str:
    address = raw.host.removeprefix("sc://").rstrip("/")
    if "/" in address:
        raise _senseless(raw, "write only sc://host:port; the token is the password")
    return f"sc://{_with_port(address, raw.port, DEFAULT_SPARK_CONNECT_PORT)}"


def _master_url(raw: RawConnection) -> str:
    """Take a master as Spark writes it; a bare host is one of a standalone cluster."""
    if _MASTER_WORD.fullmatch(raw.host):
        return raw.host
    if "://" in raw.host:
        return f"{raw.host}:{raw.port}" if raw.port else raw.host
    return f"spark://{_with_port(raw.host, raw.port, DEFAULT_SPARK_MASTER_PORT)}"


def _with_port(address: str, port: int | None, default: int) -> str:
    if port is None and re.search(r"(^|[^:]):\d+$", address):
        return address
    return f"{_bracketed(address)}:{port or default}"


def _bracketed(host: str) -> str:
    """Write an IPv6 address as URLs do."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _validated(model: type[ModelT], raw: RawConnection, fields: dict[str, Any]) -> ModelT:
    try:
        return model.model_validate({"conn_id": raw.conn_id, **fields})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc']))}: {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors(include_url=False, include_input=False)
        )
        raise _senseless(raw, problems) from None


def _senseless(raw: RawConnection, what: str) -> ConnectionMissing:
    msg = f"connection {raw.conn_id!r}: {what}"
    return ConnectionMissing(msg, remedy="See docs/configuration.md, section Connections")
