"""Resolve connection ids through Airflow: its UI, its secrets backends, its environment."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import (
    AirflowNotFoundException,
    AirflowRuntimeError,
    AirflowSecretsBackendAccessDenied,
)

from frameferry.config.raw import RawConnection, read_extra
from frameferry.errors import ConnectionMissing, ConnectionUnresolved

_NO_ANSWER = (AirflowNotFoundException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied)


def resolve_through_airflow(conn_id: str) -> RawConnection:
    """
    Ask Airflow for a connection.

    Airflow also says that there is none if its API server or a secrets backend fails for a moment,
    so that is worth another try.

    Raises:
        ConnectionUnresolved: Airflow has none of this id, or could not be asked.
        ConnectionMissing: Its extra is not a JSON mapping.
    """
    try:
        found = BaseHook.get_connection(conn_id)
    except _NO_ANSWER as error:
        msg = f"Airflow has no connection {conn_id!r}, or could not be asked"
        raise ConnectionUnresolved(
            msg,
            remedy="If it lasts: add it under Admin, Connections, or set "
            f"AIRFLOW_CONN_{conn_id.upper()}",
        ) from error
    return RawConnection(
        conn_id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=_extra(conn_id, found.extra),
    )


def _extra(conn_id: str, given: object) -> dict[str, Any]:
    """Read the extra ourselves: Airflow takes a broken one for empty, and thus `tls` for unset."""
    try:
        return read_extra(given)
    except (ValueError, TypeError):
        msg = f"connection {conn_id!r}: its extra is no JSON mapping"
        # Without its cause: that would quote the text, and so perhaps a password.
        raise ConnectionMissing(
            msg, remedy="Mend it in Airflow; see docs/configuration.md, section Connections"
        ) from None
