"""The commands that try a model before it goes live: judge local files, draft a card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from frameferry.cli.terminal import columns_said, out, show_json, show_table
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.operations.trying.card import write_draft
from frameferry.operations.trying.comparing import Compared, compare, moved, said
from frameferry.operations.trying.judging import Tried, try_files
from frameferry.operations.trying.page import write_page

model_app = typer.Typer(no_args_is_help=True, help="Models and their cards.")
_COLUMNS = {
    "file": "file",
    "label": "label",
    "score": "score",
    "value": "value",
    "unit": "unit",
    "becomes": "becomes",
    "detail": "detail",
}
_SAID = ("label", "score", "value", "unit", "reason", "detail", "size_bytes", "sha256")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(judge)
    app.add_typer(model_app, name="model")


def judge(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    *,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with each picture and what the model sees.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge local files exactly as the pipeline would: no Kafka, no Spark, nothing recorded."""
    settings = find_pipeline(pipelines_folder(), pipeline)
    tried = list(try_files(settings, files, with_pictures=html is not None))
    if html is not None:
        write_page(pipeline, tried, html)
    rows = [_row(one) for one in tried]
    if as_json:
        show_json(rows)
        return
    columns = columns_said(rows, _COLUMNS, ("value", "unit"))
    show_table(f"{pipeline}: judged here", rows, columns)


def _row(tried: Tried) -> dict[str, Any]:
    said = asdict(tried.looked.prediction)
    return {
        "file": tried.looked.name,
        "becomes": tried.becomes,
        **{name: said[name] for name in _SAID},
        "outputs": json.loads(said["outputs"]) if said["outputs"] else None,
    }


@model_app.command()
def card(
    path: Annotated[Path, typer.Argument(help="A .keras file or a SavedModel's folder.")],
) -> None:
    """Write a card for a model, with its inputs and outputs, to be filled in."""
    written = write_draft(path)
    out.print(f"{written}: fill in what it asks for, then frameferry check", highlight=False)


@model_app.command("compare")
def compare_models(
    pipeline: Annotated[str, typer.Argument(help="The pipeline whose model is the one to beat.")],
    other: Annotated[str, typer.Argument(help="A model's path, or package.module:Class.")],
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge local files by a pipeline's model and by another, and show where they differ."""
    compared = compare(find_pipeline(pipelines_folder(), pipeline), other, files)
    rows = [_compared_row(one) for one in compared]
    if as_json:
        show_json(rows)
        return
    differing = [row for row in rows if not row["same"]]
    if differing:
        columns = {"file": "file", "own": pipeline, "own_score": "score"}
        show_table("differing", differing, {**columns, "other": other, "other_score": "score"})
    for (before, after), count in moved(compared).items():
        out.print(f"{count:,} from {before} to {after}", highlight=False, markup=False)
    out.print(f"{len(rows) - len(differing):,} of {len(rows):,} files are judged alike")


def _compared_row(one: Compared) -> dict[str, Any]:
    return {
        "file": one.file,
        "same": one.is_same,
        "own": said(one.own),
        "own_score": one.own.score,
        "other": said(one.other),
        "other_score": one.other.score,
    }
