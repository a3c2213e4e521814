"""The page's routes. The app that mounts it says who may come in, and what they may see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response
from fastapi.params import Depends as Guard
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from frameferry import __version__
from frameferry.domain.status import Status, to_json
from frameferry.page.figures import bar, figure, share, total
from frameferry.page.survey import Survey, Surveyor

MayRead = Callable[[str], bool]
LinkTo = Callable[[str], str]

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STATIC = files("frameferry.page") / "static"


def page_app(
    surveyor: Surveyor,
    *,
    guards: Sequence[Guard],
    may_read: Callable[..., MayRead],
    link_to: LinkTo,
) -> FastAPI:
    """
    Make the page as an app to be mounted; every route is a GET behind all *guards*.

    Args:
        surveyor: Asks the pipelines; shared by all requests.
        guards: Dependencies that refuse a request. An empty sequence leaves the page open.
        may_read: A dependency whose result says which pipelines the requester may read.
        link_to: Gives the link to a pipeline's DAG, relative to the folder of the mounted page.
    """
    app = FastAPI(
        title="Frameferry",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=list(guards),
    )
    templates = _templates(link_to)
    Allowed = Annotated[MayRead, Depends(may_read)]  # noqa: N806 - a type

    @app.get("/")
    def page(allowed: Allowed) -> HTMLResponse:
        return _html(templates, "page.html", surveyor.survey().only(allowed))

    @app.get("/pipelines")
    def pipelines(allowed: Allowed) -> HTMLResponse:
        return _html(templates, "pipelines.html", surveyor.survey().only(allowed))

    @app.get("/status.json")
    def status(allowed: Allowed) -> JSONResponse:
        return JSONResponse(as_json(surveyor.survey().only(allowed)), headers=dict(HEADERS))

    @app.get("/page.css")
    def style() -> Response:
        return _static("page.css", "text/css")

    @app.get("/page.js")
    def script() -> Response:
        return _static("page.js", "text/javascript")

    return app


def as_json(survey: Survey) -> dict[str, Any]:
    """Write a survey for programs: `pipelines` as in `frameferry status --json`."""
    return {
        "asked_at": survey.asked_at.isoformat(),
        "trouble": survey.trouble,
        "pipelines": [to_json(one) for one in survey.pipelines],
        "broken": [asdict(one) for one in survey.broken],
    }


def _templates(link_to: LinkTo) -> Environment:
    environment = Environment(
        loader=PackageLoader("frameferry.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=figure, bar=bar, share=share, total=total)
    environment.tests["asked"] = lambda one: isinstance(one, Status)
    environment.globals.update(link_to=link_to, version=__version__)
    return environment


def _html(templates: Environment, name: str, survey: Survey) -> HTMLResponse:
    return HTMLResponse(templates.get_template(name).render(survey=survey), headers=dict(HEADERS))


def _static(name: str, media_type: str) -> Response:
    return Response((_STATIC / name).read_bytes(), media_type=media_type, headers=dict(HEADERS))
