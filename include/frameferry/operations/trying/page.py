"""A page of judged files: each picture, what the model saw of it, and what was said."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from frameferry import __version__
from frameferry.errors import ConfigError, encodable
from frameferry.operations.trying.judging import Tried


def write_page(pipeline: str, tried: Sequence[Tried], file: Path) -> None:
    """
    Write one HTML file that needs nothing else, and runs nothing.

    Pictures in it are drawn anew from their pixels, so no byte of a judged file reaches a browser.

    Raises:
        ConfigError: It cannot be written.
    """
    text = _page(pipeline, tried)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise ConfigError(msg, remedy="Name a file in a folder that can be written to") from error


def _page(pipeline: str, tried: Sequence[Tried]) -> str:
    # Each command would import it else, for what one of them writes now and then.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("frameferry.operations.trying"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = _address
    environment.filters["shown"] = _shown
    template = environment.get_template("judged.html")
    return template.render(pipeline=pipeline, tried=tried, version=__version__)


def _address(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _shown(text: str) -> str:
    """Show control characters, and those that turn the direction of writing, as their codes."""
    plain = (one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return encodable("".join(plain))
