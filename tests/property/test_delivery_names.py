from __future__ import annotations

from posixpath import basename, dirname
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from frameferry.delivery.parts import PART_SUFFIX, part_path
from frameferry.domain.naming import NameFields, join_base, remote_name
from frameferry.errors import UnsafePath
from frameferry.ftp.paths import check_path

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
    lambda name: "/" not in name and name not in {".", ".."} and len(name.encode()) <= 255
)


@given(name=NAMES, first=st.integers(1, 10**9), second=st.integers(1, 10**9))
def test_a_part_is_safe_hidden_and_its_own_for_each_number(
    name: str, first: int, second: int
) -> None:
    part = part_path(f"/base/{name}", "0123abcd-77-3", first)
    check_path(part, "/base")
    assert dirname(part) == "/base"
    assert basename(part).startswith(".")
    assert part.endswith(PART_SUFFIX)
    assert (first == second) == (part == part_path(f"/base/{name}", "0123abcd-77-3", second))


@given(source=st.text(max_size=300), partition=st.integers(0, 9), offset=st.integers(0, 10**18))
def test_every_name_that_we_make_is_one_that_we_send(
    source: str, partition: int, offset: int
) -> None:
    fields = NameFields("press-a", "topic", partition, offset, 0, source, None)
    name = remote_name("{date}/{stem}_{partition}-{offset:020d}{suffix}", fields, ZoneInfo("UTC"))
    check_path(join_base("/press-a", name), "/press-a")


@given(st.text())
def test_a_path_with_a_line_end_is_never_sent(text: str) -> None:
    for end in ("\r", "\n", "\0"):
        try:
            check_path(f"/base/{text}{end}", "/base")
        except UnsafePath:
            continue
        raise AssertionError(text)
