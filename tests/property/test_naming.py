"""Names are total, pure, injective and harmless, whatever a record is called."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from frameferry.config.settings import DEFAULT_NAME
from frameferry.domain.naming import (
    COMPONENT_BYTES,
    Illegal,
    NameFields,
    join_base,
    name_flaw,
    remote_name,
)
from frameferry.domain.positions import PositionReader
from frameferry.domain.templates import check_template
from frameferry.ftp.paths import check_path

TEMPLATES = [
    DEFAULT_NAME,
    "{partition}-{offset}",
    "{partition}/{date}/{stem}_{offset}{suffix}",
    "{date}/{hour}/{partition}-{offset:020d}_{stem}{suffix}",
    "{label}/{stem}-{partition}-{offset}{suffix}",
    "{partition}={stem}={offset}{suffix}",
    "{topic}/{pipeline}/{stem}~{offset:05d}~{partition:03d}{suffix}",
    "{stem} {partition} {offset}{suffix}{suffix}",
    "{partition}-{offset} {label}{stem}",
    "{stem}-{partition}_{offset}.x{suffix}",
    "{header[a]}/{timestamp}-{partition}-{offset}_{header[b]}{stem}{suffix}",
    "{header[a]}-{stem}_{partition}-{offset}{suffix}",
]
POLICIES: list[Illegal] = ["encode", "replace", "hash", "reject"]
HOSTILE = [
    *["", ".", "..", "/", "//", "../../etc/passwd", "..\\..\\x", "~root", "-rf", ".hidden", " "],
    *["a\r\nDELE b", "a\nb", "a\0b", "\x7f", "\u0085", "\u2028", "\u202egpj.exe", "\ufeff", ".jpg"],
    *[
        "\ud800",
        "\udfff.jpg",
        "\U000e0001",
        "\ue000",
        "\uffff",
        "ß",
        "İ.İ",
        "a.ß",
        "\ufb01",
        "\u212b",
    ],
    *["e\u0301", "\u00e9", "\u0301", "=\u0338", "a:\u0301", "\u1100\u1161", "\u1161"],
    *["con", "con.jpg", "NUL", "com1.txt", "lpt9 ", "a.", "a ", "a.part", "*?[]", "%2E%2E", "%"],
    *["a_0-00000000000000000007", "a.7", "a.5.7", "1", "1-1", "0-0_0-0", "{stem}", "{0}"],
    *["`id`", "$(id)", "a;b", "a&b", "'\"", "x" * 255, "x" * 5000, "도" * 200, "😀" * 100],
]
ZONES = ["UTC", "Asia/Seoul", "America/St_Johns", "Pacific/Kiritimati"]

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(), max_size=40),
    st.text(st.sampled_from("0123456789-_./%.= ga\u0301\u0338"), max_size=12),
    st.text(st.characters(), min_size=200, max_size=400),
)
offsets = st.one_of(st.integers(0, 120), st.integers(0, 2**63 - 1))
partitions = st.one_of(st.integers(0, 12), st.integers(0, 2**31 - 1))
templates = st.sampled_from(TEMPLATES)
records = st.builds(
    NameFields,
    pipeline=st.just("press-a"),
    topic=st.just("press-a.images"),
    partition=partitions,
    offset=offsets,
    timestamp_ms=st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**42)),
    source_name=st.one_of(st.none(), texts),
    label=st.one_of(st.none(), texts),
    generation=st.just(1),
    headers=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), texts), max_size=3).map(tuple),
)
policies = st.sampled_from(POLICIES)
zones = st.sampled_from(ZONES).map(ZoneInfo)
bounded = settings(max_examples=60)


@pytest.mark.parametrize("template", TEMPLATES)
def test_these_templates_are_allowed(template: str) -> None:
    check_template(template)


@bounded
@given(templates, records, zones, policies)
def test_a_name_is_a_function_of_the_record(
    template: str, record: NameFields, zone: ZoneInfo, policy: Illegal
) -> None:
    name = remote_name(template, record, zone, policy)
    assert name == remote_name(template, record, zone, policy)


@bounded
@given(templates, records, zones)
def test_a_record_without_flaw_has_one_name_under_every_policy(
    template: str, record: NameFields, zone: ZoneInfo
) -> None:
    names = {remote_name(template, record, zone, policy) for policy in POLICIES}
    assert name_flaw(template, record, zone) is not None or 1 == len(names)


@bounded
@given(templates, records, records, zones, policies)
@example(
    "{stem} {partition} {offset}{suffix}{suffix}",
    NameFields("p", "t", 1, 5, 0, "a.7", None),
    NameFields("p", "t", 5, 7, 0, "a 1", None),
    ZoneInfo("UTC"),
    "encode",
)
def test_two_records_never_share_a_name(
    template: str, one: NameFields, other: NameFields, zone: ZoneInfo, policy: Illegal
) -> None:
    if (one.partition, one.offset) == (other.partition, other.offset):
        return
    names = [remote_name(template, record, zone, policy) for record in (one, other)]
    assert names[0] != names[1]
    assert names[0].casefold() != names[1].casefold()


PIECES = [*"123.-_%", ".part", "part"]
fields = st.sampled_from(
    ["{stem}", "{suffix}", "{label}", "{date}", "{timestamp}", "{header[a]}", ""]
)
gaps = st.sampled_from(["-", "_", ".", ".x", "x", "/", "/", ""])


@st.composite
def any_templates(draw: st.DrawFn) -> str:
    pieces = [draw(fields), "{partition}", draw(fields), "{offset}", draw(fields), draw(fields)]
    return "".join(piece + draw(gaps) for piece in pieces)


@settings(bounded, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(any_templates(), st.integers(0, 10**6), policies)
def test_whatever_template_is_allowed_keeps_records_apart(
    template: str, seed: int, policy: Illegal
) -> None:
    assume(_is_allowed(template))
    random = Random(seed)
    seen: dict[str, tuple[int, int]] = {}
    for _ in range(100):
        stem, label, header = (
            "".join(random.choices(PIECES, k=random.randrange(4))) for _ in range(3)
        )
        record = NameFields(
            "p",
            "t",
            random.randrange(5),
            random.randrange(5),
            random.choice([0, 2**40]),
            stem,
            label,
            headers=(("a", header),),
        )
        place = record.partition, record.offset
        name = remote_name(template, record, ZoneInfo("UTC"), policy)
        assert seen.setdefault(name, place) == place


def _is_allowed(template: str) -> bool:
    try:
        check_template(template)
    except ValueError:
        return False
    return True


@bounded
@given(templates, records, zones, policies)
def test_no_name_leaves_its_base_or_breaks_the_protocol(
    template: str, record: NameFields, zone: ZoneInfo, policy: Illegal
) -> None:
    check_path(join_base("/press-a", remote_name(template, record, zone, policy)), "/press-a")


@bounded
@given(templates, records, zones, policies)
def test_no_component_is_odd_to_a_file_system(
    template: str, record: NameFields, zone: ZoneInfo, policy: Illegal
) -> None:
    name = remote_name(template, record, zone, policy)
    assert name == unicodedata.normalize("NFC", name)
    for component in name.split("/"):
        assert 0 < len(component.encode()) <= COMPONENT_BYTES
        assert component[0] not in ". -"
        assert component[-1] not in ". "
        assert not any(unicodedata.category(char)[0] == "C" for char in component)
        assert not set(component) & set('<>:"\\|?*')


@bounded
@given(templates, records, records, zones)
def test_a_second_generation_never_meets_the_first_of_the_same_source(
    template: str, record: NameFields, other: NameFields, zone: ZoneInfo
) -> None:
    second = NameFields(
        record.pipeline,
        record.topic,
        record.partition,
        record.offset,
        other.timestamp_ms,
        record.source_name,
        record.label,
        generation=2,
    )
    assert remote_name(template, record, zone) != remote_name(template, second, zone)


@bounded
@given(records, records, zones)
def test_the_default_name_depends_on_nothing_that_the_model_says(
    record: NameFields, other: NameFields, zone: ZoneInfo
) -> None:
    judged = NameFields(
        record.pipeline,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        record.source_name,
        other.label,
    )
    assert remote_name(DEFAULT_NAME, record, zone) == remote_name(DEFAULT_NAME, judged, zone)


@bounded
@given(records, templates, zones, st.integers(1, 3), policies)
def test_a_name_is_read_back_to_its_record(
    record: NameFields, template: str, zone: ZoneInfo, generation: int, policy: Illegal
) -> None:
    """Or not at all, where it had to be shortened or is a folder's: never to another record."""
    if not {"{partition", "{offset"} <= {
        name for name in ("{partition", "{offset") if name in template.rpartition("/")[2]
    }:
        return
    name = remote_name(template, replace(record, generation=generation), zone, policy)
    reader = PositionReader(template, pipeline=record.pipeline, generation=generation)
    assert reader.read(name) in {None, (record.partition, record.offset)}


@bounded
@given(st.text(st.sampled_from("abc019-_. "), max_size=30), partitions, offsets)
@example("0_0-0.", 0, 0)
@example("x_0-00000000000000000005.", 1, 7)
@example("x_0-00000000000000000005.jpg.", 1, 7)
@example("x_0-00000000000000000005._0-00000000000000000006", 1, 7)
def test_a_plain_name_is_always_read_back(source: str, partition: int, offset: int) -> None:
    fields = NameFields("press-a", "t", partition, offset, 0, source, None)
    reader = PositionReader(DEFAULT_NAME, pipeline="press-a", generation=1)
    name = remote_name(DEFAULT_NAME, fields, ZoneInfo("UTC"))
    assert (partition, offset) == reader.read(name)
