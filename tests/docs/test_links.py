"""What documents point at is there: files, headings, tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
TEST = re.compile(r"\btests/[\w/.]+\.py(?:::\w+)?|\btests/\w+(?=[\s`,.;)])")
CODE = re.compile(r"```.*?```", re.DOTALL)
ELSEWHERE = ("http://", "https://", "mailto:")


def links(document: Path) -> list[str]:
    text = CODE.sub("", document.read_text(encoding="utf-8"))
    return [one or other for one, other in LINK.findall(text)]


def anchors(document: Path) -> set[str]:
    """List a document's headings as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return set(map(anchor_of, headings))


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    document = ROOT / name
    for link in links(document):
        if link.startswith(ELSEWHERE):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), f"{name}: {link}"
        assert target.is_relative_to(ROOT), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name}: {link}"


@pytest.mark.parametrize("name", NAMES)
def test_every_test_that_is_named_exists(name: str) -> None:
    for named in TEST.findall((ROOT / name).read_text(encoding="utf-8")):
        path, _, function = named.partition("::")
        assert (ROOT / path).exists(), f"{name}: {named}"
        if function:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {function}\(", source, re.MULTILINE), f"{name}: {named}"


@pytest.mark.parametrize("name", NAMES)
def test_a_document_says_nothing_of_one_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.findall(r"/(?:root|home|work|tmp)/\w+", text)


def test_every_failure_in_the_design_names_a_test_that_proves_it() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    failures = text[text.index("## When things fail") : text.index("## Not yet")]
    for section in failures.split("\n### ")[1:]:
        assert TEST.search(section), section.splitlines()[0]


def test_every_way_out_of_a_failure_names_a_test_that_proves_it() -> None:
    text = (ROOT / "docs/recovery.md").read_text(encoding="utf-8")
    for section in re.split(r"\n##+ ", text):
        title, _, body = section.partition("\n")
        is_chapter = title.startswith("# ") or f"](#{anchor_of(title)})" in text
        assert is_chapter or re.search(rf"\*\*Tests?:\*\* `{TEST.pattern}", body), title


def test_every_package_is_in_the_designs_tree() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    tree = text[text.index("## Who may import whom") : text.index("## How Airflow drives it")]
    package = ROOT / "include/frameferry"
    for glob, indent in {"*/__init__.py": "", "*/*/__init__.py": "  "}.items():
        packages = {path.parent.name for path in package.glob(glob)} - {"migrations"}
        assert packages == set(re.findall(rf"^{indent}(\w+)/  ", tree, re.MULTILINE))


@pytest.mark.parametrize("package", ["ledger", "pipeline", "ftp"])
def test_the_folders_of_a_package_are_drawn_in_the_order_of_its_contract(package: str) -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    drawn = re.search(rf"^{package}/ .*\n((?:  .+\n)+)", text, re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contract = project[project.index(f'containers = ["frameferry.{package}"]') :]
    layers = re.findall(r"\w+", contract[: contract.index("]\n\n")])
    assert drawn is not None
    folders = re.findall(r"^  (\w+)/", drawn[1], re.MULTILINE)
    assert folders == [layer for layer in layers if layer in folders]


def test_the_layers_in_the_design_are_the_contracts() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    tree = text[text.index("## Who may import whom") : text.index("## How Airflow drives it")]
    drawn = [line.split("  ")[0] for line in tree.split("```")[3].strip().splitlines()]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"layers = \[(.*?)\]", project, re.DOTALL)
    assert layers is not None
    assert re.findall(r'"([^"]+)"', layers[1]) == drawn
