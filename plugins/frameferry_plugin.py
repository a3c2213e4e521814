"""
The page in Airflow's own navigation, behind Airflow's own authorisation.

Everyone who may see the website may open the page. They see only the pipelines whose DAG runs they
may read. The page is read-only: it has no route that changes anything.

Every task process loads this file, so functions import what only the api-server needs.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/frameferry"


def make_page() -> "FastAPI":
    """Make the page; it asks nothing and opens nothing until its first request."""
    from airflow.api_fastapi.auth.managers.models.resource_details import (  # noqa: PLC0415 - see top
        AccessView,
    )
    from airflow.api_fastapi.core_api.security import requires_access_view  # noqa: PLC0415
    from fastapi import Depends  # noqa: PLC0415

    from frameferry.orchestration.connections import resolve_through_airflow  # noqa: PLC0415
    from frameferry.orchestration.factory import dag_id  # noqa: PLC0415
    from frameferry.page.app import page_app  # noqa: PLC0415
    from frameferry.page.asking import ask_with  # noqa: PLC0415
    from frameferry.page.survey import Surveyor  # noqa: PLC0415

    return page_app(
        Surveyor(ask_with(resolve_through_airflow)),
        guards=[Depends(requires_access_view(AccessView.WEBSITE))],
        may_read=readable_pipelines(),
        link_to=lambda pipeline: f"../dags/{dag_id(pipeline)}",
    )


def readable_pipelines() -> Callable[..., Callable[[str], bool]]:
    """Make the dependency that asks Airflow which pipelines' runs a user may read."""
    from airflow.api_fastapi.auth.managers.models.resource_details import (  # noqa: PLC0415
        DagAccessEntity,
    )
    from airflow.api_fastapi.core_api.security import (  # noqa: PLC0415
        GetUserDep,
        requires_access_dag,
    )
    from fastapi import HTTPException, Request  # noqa: PLC0415

    from frameferry.orchestration.factory import dag_id  # noqa: PLC0415

    def readable(request: Request, user: GetUserDep) -> Callable[[str], bool]:
        def may_read(pipeline: str) -> bool:
            check = requires_access_dag("GET", DagAccessEntity.RUN, dag_id(pipeline))
            try:
                check(request, user)
            except HTTPException:
                return False
            return True

        return may_read

    return readable


class FrameferryPlugin(AirflowPlugin):
    """Mount the page, and put it into the navigation."""

    name = "frameferry"
    external_views: ClassVar[list[dict[str, Any]]] = [
        {
            "name": "Frameferry",
            # Relative to Airflow's base URL, which may have a path of its own.
            "href": f".{URL_PREFIX}/",
            "destination": "nav",
            "url_route": "frameferry",
            "nav_top_level": True,
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The page's app: made when the api-server asks for it, once."""
        return [{"app": make_page(), "url_prefix": URL_PREFIX, "name": "Frameferry"}]
