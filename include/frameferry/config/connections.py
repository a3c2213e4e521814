"""
Connections as plain settings, resolved by id.

In Airflow the providers' hooks resolve an id (UI, secrets backend); outside it the same id is read
from `AIRFLOW_CONN_<ID>`, as a URI or as JSON, in Airflow's own forms.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from frameferry.errors import ConnectionMissing

DEFAULT_FTP_PORT = 21
DEFAULT_FTPS_PORT = 990
DEFAULT_SPARK_CONNECT_PORT = 15002
_MASTERS = ("local", "spark", "yarn", "k8s")
_SECRET_WORDS = ("password", "secret", "jaas", "token", "key")


@dataclass(frozen=True, slots=True)
class RawConnection:
    """A connection's fields as Airflow names them; never printed."""

    conn_id: str
    conn_type: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


ConnectionResolver = Callable[[str], RawConnection]


class _Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    conn_id: str


ModelT = TypeVar("ModelT", bound=_Connection)


class KafkaConnection(_Connection):
    """A Kafka cluster: librdkafka's own option names, `bootstrap.servers` among them."""

    options: dict[str, str | int | float | bool] = Field(repr=False)

    @field_validator("options")
    @classmethod
    def _has_servers(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
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
    passive: bool = True
    encoding: str = "utf-8"
    timeout_seconds: float = Field(default=30, gt=0, le=600)

    @property
    def destination(self) -> str:
        """Name the server and account as the ledger records them; no secret."""
        return f"ftp://{self.user}@{self.host}:{self.port}"

    @property
    def digest(self) -> str:
        """
        Digest what a log-in depends on, slowly, so that it does not betray the password.

        It changes exactly when host, port, user, password or TLS change.
        """
        return hashlib.scrypt(
            self.password.get_secret_value().encode(),
            salt=f"{self.tls}|{self.destination}".encode(),
            n=2**14,
            r=8,
            p=1,
            dklen=32,
        ).hex()


class SparkConnection(_Connection):
    """Spark Connect (`sc://host:port`) or a spark-submit master (`local[2]`, `spark://…`, `yarn`)."""

    url: str
    token: SecretStr | None = None
    conf: dict[str, str] = {}

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
        return _from_json(conn_id, text) if text.startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"connection {conn_id!r} cannot be read from {variable}: it is neither a URI nor JSON"
        raise ConnectionMissing(msg, remedy="See docs/configuration.md, section Connections") from error


def kafka_connection(raw: RawConnection) -> KafkaConnection:
    """
    Understand a connection as a Kafka cluster.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    options = dict(raw.extra)
    if "bootstrap.servers" not in options and raw.host:
        options["bootstrap.servers"] = f"{raw.host}:{raw.port or 9092}"
    return _validated(KafkaConnection, raw, {"options": options})


def ftp_connection(raw: RawConnection) -> FtpConnection:
    """
    Understand a connection as an FTP server.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    known = set(FtpConnection.model_fields) - {"conn_id", "host", "port", "user", "password"}
    extra = {key: value for key, value in raw.extra.items() if key in known}
    if "timeout" in raw.extra:
        extra["timeout_seconds"] = raw.extra["timeout"]
    implicit = extra.get("tls") == "implicit"
    fields = {
        "host": raw.host,
        "port": raw.port or (DEFAULT_FTPS_PORT if implicit else DEFAULT_FTP_PORT),
        "user": raw.login or "anonymous",
        "password": raw.password,
        **extra,
    }
    return _validated(FtpConnection, raw, fields)


def spark_connection(raw: RawConnection) -> SparkConnection:
    """
    Understand a connection as Spark Connect or as a master for spark-submit.

    Raises:
        ConnectionMissing: Its fields make no sense as one.
    """
    host = raw.host
    if raw.conn_type == "spark_connect" or host.startswith("sc://"):
        bare = host.removeprefix("sc://")
        url = f"sc://{bare}:{raw.port or DEFAULT_SPARK_CONNECT_PORT}"
    elif host.startswith(_MASTERS):
        url = f"{host}:{raw.port}" if raw.port else host
    else:
        url = f"spark://{host}:{raw.port}" if raw.port else host
    token = raw.password or raw.extra.get("token")
    return _validated(
        SparkConnection, raw, {"url": url, "token": token, "conf": raw.extra.get("conf", {})}
    )


def is_secret_option(name: str) -> bool:
    """Say whether an option's value must never be shown."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def _validated(model: type[ModelT], raw: RawConnection, fields: dict[str, Any]) -> ModelT:
    try:
        return model.model_validate({"conn_id": raw.conn_id, **fields})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc']))}: {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors(include_url=False, include_input=False)
        )
        msg = f"connection {raw.conn_id!r}: {problems}"
        raise ConnectionMissing(msg, remedy="See docs/configuration.md, section Connections") from None


def _from_json(conn_id: str, text: str) -> RawConnection:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    return RawConnection(
        conn_id=conn_id,
        conn_type=str(fields.get("conn_type") or ""),
        host=fields.get("host") or "",
        port=int(fields["port"]) if fields.get("port") not in (None, "") else None,
        login=fields.get("login") or "",
        password=fields.get("password") or "",
        schema=fields.get("schema") or "",
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )


def _from_uri(conn_id: str, text: str) -> RawConnection:
    parts = urlsplit(text)
    if not parts.scheme:
        msg = "a URI needs a scheme"
        raise ValueError(msg)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    return RawConnection(
        conn_id=conn_id,
        conn_type=parts.scheme.replace("-", "_"),
        host=unquote(_host(parts.netloc)),
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path.removeprefix("/")),
        extra=extra,
    )


def _host(netloc: str) -> str:
    address = netloc.rpartition("@")[2]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]
