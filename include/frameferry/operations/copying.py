"""Another base folder for a replay's files: copies, beside which what stands goes on standing."""

from __future__ import annotations

from collections.abc import Iterable

from frameferry.config.folder import lie_together, load_all, server_of
from frameferry.config.home import pipelines_folder
from frameferry.config.settings import PipelineSettings, read_base
from frameferry.errors import ConfigError
from frameferry.pipeline.context import Context


def base_for_copies(ctx: Context, asked: str) -> str:
    """
    Read the folder that a person wants copies below; return it as a base is written.

    Raises:
        ConfigError: It is no absolute folder, or it lies together with the base of a pipeline on
            the same server, whose sweeping and audits would meet the copies.
    """
    try:
        base = read_base(asked)
    except ValueError as flaw:
        msg = f"copies cannot go into {asked!r}: it {flaw}"
        raise ConfigError(msg, remedy="Name a folder of its own", pipeline=ctx.pipeline) from flaw
    for settings in (ctx.settings, *_neighbours(ctx)):
        if lie_together(base, settings.deliver.base):
            msg = (
                f"copies cannot go into {base}: the files of pipeline {settings.pipeline} lie in "
                f"{settings.deliver.base}, and neither may lie in the other"
            )
            raise ConfigError(msg, remedy="Name a folder beside it", pipeline=ctx.pipeline)
    return base


def _neighbours(ctx: Context) -> Iterable[PipelineSettings]:
    """Find the other pipelines that deliver to the same server as the same user."""
    folder = pipelines_folder()
    if not folder.is_dir():
        return []
    here = server_of(ctx.settings, ctx.resolve)
    whole, _ = load_all(folder)
    others = (one for one in whole.values() if one.pipeline != ctx.pipeline)
    return [one for one in others if server_of(one, ctx.resolve) == here]
