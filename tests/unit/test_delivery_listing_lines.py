"""The lines by which servers list files."""

from __future__ import annotations

import pytest

from frameferry.errors import DeliveryRefused
from frameferry.ftp.listing import _by_columns, _by_facts


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("-rw-r--r--   1 ferry    ferry        4711 Nov 25 22:42 a b.jpg", ("a b.jpg", 4711)),
        ("-rw-r--r-- 1 0 0 4711 Nov 25  2026  leading.jpg", (" leading.jpg", 4711)),
        ("drwxr-xr-x   2 ferry    ferry        4096 Jan  1 2026 2026-11-25", ("2026-11-25", None)),
        ("-rw-r--r--@ 1 ferry 4711 Nov 25 22:42 no_group.jpg", ("no_group.jpg", 4711)),
        ("lrwxrwxrwx 1 a b 4 Nov 25 22:42 link -> x", None),
        ("total 48", None),
        ("11-25-26  10:42PM       <DIR>          folder", ("folder", None)),
        ("11-25-2026  10:42AM             4711 a b.jpg", ("a b.jpg", 4711)),
    ],
)
def test_columns_of_unix_and_windows_are_read(line, entry):
    assert entry == _by_columns(line)


def test_columns_of_nobody_are_refused():
    with pytest.raises(DeliveryRefused, match="cannot be read"):
        _by_columns("+i8388621.29609,m824255902,/,\tdev")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("type=file;size=4711;modify=20261125;perm=r; a; b.jpg", ("a; b.jpg", 4711)),
        ("Type=Dir;Modify=20261125; folder", ("folder", None)),
        ("type=cdir; .", None),
        ("type=OS.unix=slink:/x;size=4; link", None),
    ],
)
def test_facts_are_read(line, entry):
    assert entry == _by_facts(line)


@pytest.mark.parametrize("line", ["type=file; no size", "modify=20261125; no type", "b.jpg", ""])
def test_a_line_without_facts_hides_a_file_perhaps(line):
    with pytest.raises(DeliveryRefused, match="cannot be read"):
        _by_facts(line)
