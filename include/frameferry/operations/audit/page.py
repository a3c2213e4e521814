"""Write a report into files: a page that needs nothing beside it, and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from frameferry import __version__
from frameferry.config.home import home
from frameferry.domain.audit import Report, to_json
from frameferry.domain.wording import shown
from frameferry.errors import ConfigError

FOLDER: Final = "audits"
"""Below the home: reports of audits that nobody watches, a folder a pipeline."""


def write_page(report: Report, file: Path) -> None:
    """
    Write a report as one HTML page, whole or not at all; an older file is replaced.

    Names of files and words of servers are escaped: they may be anybody's.

    Raises:
        ConfigError: The file cannot be written.
    """
    _write(file, _page(report))


def refuse_unwritable(file: Path) -> None:
    """
    Make sure that a page can be written, before an audit that takes minutes.

    Raises:
        ConfigError: It cannot.
    """
    is_there = file.exists()
    with _writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8"):
            pass
    if not is_there:
        file.unlink()


def write_files(report: Report) -> tuple[Path, Path]:
    """
    Write a report below the home, as a page and as JSON, named by when the audit began.

    Returns:
        The page and the JSON file.

    Raises:
        ConfigError: They cannot be written.
    """
    stem = home() / FOLDER / report.pipeline / f"{report.began_at:%Y%m%dT%H%M%S%fZ}"
    page, data = stem.with_suffix(".html"), stem.with_suffix(".json")
    _write(data, json.dumps(to_json(report), ensure_ascii=False, indent=1) + "\n")
    write_page(report, page)
    return page, data


def _page(report: Report) -> str:
    # Each command would import it else, for what one of them writes now and then.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("frameferry.operations.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment.get_template("report.html").render(report=report, version=__version__)


def _write(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        with _writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(file)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise ConfigError(msg, remedy="Name a file in a folder that can be written to") from error
