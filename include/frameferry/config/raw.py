"""A connection in Airflow's own two forms, URI and JSON, read as Airflow reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_JSON_KEYS = frozenset(
    {"conn_type", "description", "host", "login", "password", "schema", "port", "extra"}
)


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


def from_json(conn_id: str, text: str) -> RawConnection:
    """
    Read the JSON form.

    Raises:
        ValueError, TypeError, AttributeError: It is not such JSON. The message may quote a secret.
    """
    fields = json.loads(text)
    if unknown := sorted(set(fields) - _JSON_KEYS):
        msg = f"unknown keys: {unknown}"
        raise ValueError(msg)
    return RawConnection(
        conn_id=conn_id,
        conn_type=_type(fields.get("conn_type") or ""),
        host=fields.get("host") or "",
        port=int(fields["port"]) if fields.get("port") else None,
        login=fields.get("login") or "",
        password=fields.get("password") or "",
        schema=fields.get("schema") or "",
        extra=read_extra(fields.get("extra")),
    )


def from_uri(conn_id: str, text: str) -> RawConnection:
    """
    Read the URI form: `type://login:password@host:port/schema?extra`.

    The host may have a protocol of its own, as in `spark-connect://sc://host:15002`.

    Raises:
        ValueError: It is not such a URI. The message may quote a secret.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        msg = "a URI needs a scheme"
        raise ValueError(msg)
    protocol, inner, address = rest.partition("://")
    if not (inner and _SCHEME.fullmatch(protocol)):
        protocol, inner, address = "", "", rest
    parts = urlsplit(f"//{address}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or "@" in parts.path or "@" in parts.query:
        msg = "an @ or # after the host: a password's own characters must be percent-encoded"
        raise ValueError(msg)
    host = _host(parts)
    return RawConnection(
        conn_id=conn_id,
        conn_type=_type(scheme.lower()),
        host=f"{protocol.lower()}://{host}" if inner and host else host,
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path.removeprefix("/")),
        extra=read_extra(query.get("__extra__")) if "__extra__" in query else query,
    )


def read_extra(given: object) -> dict[str, Any]:
    """
    Read the extra, which may be JSON in a text. Airflow would drop what it cannot read.

    Raises:
        ValueError, TypeError, RecursionError: It is not a mapping. The message may quote a secret.
    """
    content = json.loads(given) if isinstance(given, str) and given else given or {}
    if not isinstance(content, dict):
        msg = "extra must be a mapping"
        raise TypeError(msg)
    return content


def _host(parts: SplitResult) -> str:
    """Read the host in small letters, or as it stands if it holds a URL of its own."""
    host = unquote(parts.hostname or "")
    if "/" in host:
        return unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return host


def _type(name: str) -> str:
    return "postgres" if name == "postgresql" else name.replace("-", "_")
