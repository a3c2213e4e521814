"""Resolve connection ids through Airflow: its UI, its secrets backends, its environment."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from frameferry.config.raw import RawConnection
from frameferry.errors import ConnectionMissing


def resolve_through_airflow(conn_id: str) -> RawConnection:
    """
    Ask Airflow for a connection.

    Raises:
        ConnectionMissing: Airflow has none of this id, or its extra is no mapping.
    """
    try:
        found = BaseHook.get_connection(conn_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        msg = f"Airflow has no connection {conn_id!r}"
        raise ConnectionMissing(
            msg, remedy=f"Add it under Admin, Connections, or set AIRFLOW_CONN_{conn_id.upper()}"
        ) from error
    if not isinstance(found.extra_dejson, dict):
        msg = f"connection {conn_id!r}: its extra is JSON, but no mapping"
        raise ConnectionMissing(msg, remedy="See docs/configuration.md, section Connections")
    return RawConnection(
        conn_id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=found.extra_dejson,
    )
