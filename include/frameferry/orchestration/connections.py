"""Resolve connection ids through Airflow: its UI, its secrets backends, its environment."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from frameferry.config.raw import RawConnection, read_extra
from frameferry.errors import ConnectionMissing


def resolve_through_airflow(conn_id: str) -> RawConnection:
    """
    Ask Airflow for a connection.

    Raises:
        ConnectionMissing: Airflow has none of this id, or its extra is no JSON mapping.
    """
    try:
        found = BaseHook.get_connection(conn_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        msg = f"Airflow has no connection {conn_id!r}"
        raise ConnectionMissing(
            msg, remedy=f"Add it under Admin, Connections, or set AIRFLOW_CONN_{conn_id.upper()}"
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
    """Read the extra ourselves: Airflow takes a broken one for empty, and so `tls` for unset."""
    try:
        return read_extra(given)
    except (ValueError, TypeError):
        msg = f"connection {conn_id!r}: its extra is no JSON mapping"
        # Without its cause, which would quote the text, and so perhaps a password.
        raise ConnectionMissing(
            msg, remedy="Mend it in Airflow; see docs/configuration.md, section Connections"
        ) from None
