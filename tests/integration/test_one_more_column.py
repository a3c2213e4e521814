"""One more thing that the judge says is a change in few places, and is there in every form."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frameferry.ledger.database.schema import HEAD

ROOT = Path(__file__).parents[2]
PACKAGE = "include/frameferry"
MIGRATIONS = f"{PACKAGE}/ledger/database/migrations/versions"
ANSWER = f"{PACKAGE}/inference/answer.py"
MOST_PLACES = 7
CHANGES = [
    (
        f"{PACKAGE}/domain/columns.py",
        "    unit: str | None = None\n",
        "    unit: str | None = None\n    margin: float | None = None\n",
    ),
    (
        ANSWER,
        "    unit: str | None = None\n",
        "    unit: str | None = None\n    margin: float | None = None\n",
    ),
    (
        ANSWER,
        "    return Answer(first.label, first.score, text, measured.value, measured.unit)\n",
        """\
    second, best = sorted(first.content.values())[-2:]
    margin = round(best - second, 6)
    return Answer(first.label, first.score, text, measured.value, measured.unit, margin)
""",
    ),
    (f"{PACKAGE}/ledger/database/schema.py", f'HEAD: Final = "{HEAD}"', 'HEAD: Final = "0199"'),
    (
        "docs/ledger.md",
        "| `model_digest` |",
        "| `margin` | number | how far the label is ahead of the next |\n| `model_digest` |",
    ),
]
"""Besides these a migration: a file of its own."""
_SCRIPT = """
import sqlalchemy as sa
from alembic import op

revision = "0199"
down_revision = "{head}"
branch_labels = None
depends_on = None
{constants}

def upgrade() -> None:
    op.add_column("record", sa.Column("margin", sa.Double(), nullable=True))
    op.execute("DROP VIEW predictions")
    _create_view(op.get_bind().dialect.name)


{view}
"""


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the package and its document, with a column more."""
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE)
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/ledger.md", tmp_path / "docs")
    for name, before, after in CHANGES:
        path = tmp_path / name
        text = path.read_text(encoding="utf-8")
        assert 1 == text.count(before), f"{name} has changed: follow it here"
        path.write_text(text.replace(before, after), encoding="utf-8")
    (tmp_path / MIGRATIONS / "v0199_margin.py").write_text(_migration(), encoding="utf-8")
    return tmp_path


def _migration() -> str:
    """Write the view anew, as a migration has to, with the column in it."""
    [first] = (ROOT / MIGRATIONS).glob("v0104*.py")
    text = first.read_text(encoding="utf-8")
    constants = text[text.index("_LAST_MOMENT_MS") : text.index("\n\ndef upgrade")]
    view = text[text.index("def _create_view") :]
    column = "record.score AS score,\n"
    assert 1 == view.count(column)
    return _SCRIPT.format(
        head=HEAD,
        constants=constants,
        view=view.replace(column, f"{column}    record.margin AS margin,\n"),
    )


def test_a_column_more_is_a_few_changes_and_is_in_every_form_of_a_row(
    changed: Path, tmp_path: Path
) -> None:
    assert len(CHANGES) + 1 <= MOST_PLACES
    paths = os.pathsep.join([str(changed / "include"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-m", "fixtures.column_child", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert str(changed / PACKAGE) == told["package"], "the copy was not the one that ran"
    forms = told["forms"]
    assert "double" == forms.pop("spark")["margin"]
    margin = forms["judged"]["margin"]
    assert 0 < margin < 1
    assert dict.fromkeys(forms, margin) == {
        name: form.get("margin") for name, form in forms.items()
    }
    assert {"judged", "copied", "sidecar", "listed", "view", "exported"} == set(forms)
    page = (changed / "docs/ledger.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(documented) == set(forms["view"])
