"""Commands that documents tell people to type exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from frameferry.cli.main import app
from frameferry.cli.terminal import ListsByDefault

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FIRST_SCREEN_LINES = 45


def typed(text: str) -> Iterator[str]:
    """Yield what stands in code: spans, and the lines of shell blocks."""
    fences = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    yield from (line.strip() for block in fences for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def commands(document: Path) -> set[str]:
    found = set()
    for line in typed(document.read_text(encoding="utf-8")):
        command = re.match(r"(?:\.venv/bin/)?frameferry ([a-z][^#]*)", line)
        if command:
            found.add(command[1].strip())
    return found


def every_command() -> list[tuple[str, str]]:
    return [(str(d.relative_to(ROOT)), line) for d in DOCUMENTS for line in sorted(commands(d))]


@pytest.mark.parametrize(("document", "line"), every_command())
def test_every_command_and_option_in_the_documents_exists(document: Path, line: str) -> None:
    command = get_command(app)
    words = line.split()
    while words and isinstance(command, typer.core.TyperGroup):
        if isinstance(command, ListsByDefault):
            words = command.completed(words)
        name = words.pop(0)
        assert name in command.commands, f"{document}: frameferry {line}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in options, f"{document}: frameferry {line}"


def test_every_command_of_the_command_line_is_in_the_documents() -> None:
    said = " ".join(line for document in DOCUMENTS for line in commands(document))
    for name in get_command(app).commands:
        assert re.search(rf"\b{name}\b", said), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_make_target_in_the_documents_exists(document: Path) -> None:
    for line in typed(document.read_text(encoding="utf-8")):
        if target := re.match(r"make ([a-z-]+)", line):
            assert re.search(rf"^{target[1]}:", MAKEFILE, re.MULTILINE), line


def test_the_first_screen_has_the_sentence_the_picture_and_the_two_commands() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN_LINES])
    for wanted in ("exactly once", "docs/images/flow.svg", "make demo", "make test", "demo-output"):
        assert wanted in screen


def test_the_demos_output_is_real() -> None:
    output = README.split("<!-- demo-output -->")[1].split("<!-- end -->")[0]
    for wanted in ("Every picture accounted for", "press-a", "paint-b"):
        assert wanted in output


def test_every_row_of_the_table_of_deaths_leads_to_a_proof() -> None:
    table = README[README.index("| if it dies while") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 7
    assert all("](docs/design.md#" in row for row in table)
