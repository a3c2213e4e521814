"""Over three hundred hostile names through naming, and through the guard of the socket."""

from __future__ import annotations

import posixpath
import unicodedata
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from fixtures.hostile_names import HostileName, fields_of, hostile_names

from frameferry.config.settings import DEFAULT_NAME
from frameferry.delivery.parts import part_path, part_tag_of, sidecar_path
from frameferry.domain.naming import COMPONENT_BYTES, Illegal, join_base, name_flaw, remote_name
from frameferry.errors import UnsafePath
from frameferry.ftp.paths import check_path

BASE = "/press-a"
UTC = ZoneInfo("UTC")
POLICIES: list[Illegal] = ["encode", "replace", "hash", "reject"]
TEMPLATES = [
    DEFAULT_NAME,
    "{label}/{partition}-{offset}_{stem}{suffix}",
    "{stem}-{partition}-{offset}",
    "{partition}/{offset}/{stem}{suffix}",
]
WINDOWS_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³"
}
END = "_0-00000000000000000007"


def test_each_name_is_there_once_and_for_a_reason_of_its_own() -> None:
    names = hostile_names()
    assert 200 < len(names)
    assert len({name.why for name in names}) == len(names)
    assert all(name.why for name in names)


@pytest.mark.parametrize("name", hostile_names(), ids=lambda name: name.why)
def test_every_hostile_name_becomes_a_harmless_one(name: HostileName) -> None:
    for template in TEMPLATES:
        for policy in POLICIES:
            relative = remote_name(template, fields_of(name, 7), UTC, policy)
            path = join_base(BASE, relative)
            check_path(path, BASE)
            assert path == posixpath.normpath(path)
            assert path == unicodedata.normalize("NFC", path)
            assert template.count("/") == relative.count("/")
            for component in relative.split("/"):
                is_harmless(component)
            for beside in (sidecar_path(path), part_path(path, "0123abcd-1-1", 7)):
                check_path(beside, BASE)
                assert posixpath.dirname(path) == posixpath.dirname(beside)
            assert part_tag_of(posixpath.basename(path)) is None


def is_harmless(component: str) -> None:
    """Agree with what Windows, Unix and the protocol want of one name."""
    assert 0 < len(component.encode()) <= COMPONENT_BYTES
    assert not set(component) & set('<>:"\\|?*/')
    assert not any(unicodedata.category(char)[0] == "C" for char in component)
    assert component[0] not in ".- "
    assert component[-1] not in ". "
    assert component.split(".", maxsplit=1)[0].rstrip(" ").lower() not in WINDOWS_DEVICES
    assert component == component.encode().decode()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_no_two_records_share_a_name_even_where_case_does_not_count(
    template: str, policy: Illegal
) -> None:
    names = [
        remote_name(template, fields_of(name, offset), UTC, policy).casefold()
        for offset, name in enumerate(hostile_names())
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", hostile_names(), ids=lambda name: name.why)
def test_an_encoded_name_can_be_read_back(name: HostileName) -> None:
    file = remote_name("{stem}_{partition}-{offset:020d}{suffix}", fields_of(name, 7), UTC)
    stem, _, suffix = file.rpartition(END)
    source = unicodedata.normalize("NFC", name.text)
    if "~" in stem and len(file.encode()) > 200:
        assert len(name.text.encode(errors="replace")) > 60
        return
    read = unquote(stem, errors="surrogatepass") + unquote(suffix)
    assert source.lower() in {read.lower(), read.removeprefix("record").lower()}


@pytest.mark.parametrize("name", hostile_names(), ids=lambda name: name.why)
def test_what_is_rejected_has_a_flaw_and_what_is_not_has_one_name(name: HostileName) -> None:
    fields = fields_of(name, 7)
    names = {remote_name(DEFAULT_NAME, fields, UTC, policy) for policy in POLICIES}
    flaw = name_flaw(DEFAULT_NAME, fields, UTC)
    assert (1 == len(names)) or flaw
    if flaw:
        assert "\n" not in flaw
        assert "\r" not in flaw
        assert "\0" not in flaw


@pytest.mark.parametrize("name", hostile_names(), ids=lambda name: name.why)
def test_whatever_the_guard_lets_through_raw_stays_below_the_base(name: HostileName) -> None:
    """The guard does not trust naming: it sees each name as if naming had let it through."""
    path = f"{BASE}/{name.text}"
    try:
        check_path(path, BASE)
    except UnsafePath:
        return
    assert path == posixpath.normpath(path)
    assert path.startswith(f"{BASE}/")
    assert not set(path) & {"\r", "\n", "\0"}
    assert 1 == len(path.splitlines())
