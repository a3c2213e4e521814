"""Name templates: those that keep two records apart, and why the others do not."""

from __future__ import annotations

import pytest

from frameferry.config.settings import DEFAULT_NAME
from frameferry.domain.templates import check_template, template_fields, template_headers

GOOD = [
    DEFAULT_NAME,
    "{partition}-{offset}",
    "{offset:020d}_{partition:03d}{suffix}",
    "{partition}/{date}/{stem}_{offset}{suffix}",
    "{date}/{hour}/{partition}-{offset:020d}_{stem}{suffix}",
    "{pipeline}/{topic}/{label}/{stem}-{partition}-{offset}{suffix}",
    "도장/{stem}_{partition}-{offset}{suffix}",
    "{stem}_{partition}-{offset}.jpg",
    "{{{stem}}}_{partition}-{offset}",
    "{year}/{month}/{day}/{hour}/{minute}{second}_{partition}-{offset}{suffix}",
    "{timestamp}_{partition}-{offset}{suffix}",
    "{label}/{partition}-{offset}_{stem}{suffix}",
    "{stem}/{partition}/{header[line]}/{offset}_{stem}",
    "{suffix}/{partition}-{offset}",
    "{header[line]}/{header[recipe id]}/{partition}-{offset}{suffix}",
    "{header[a:b!c.d]}-{partition}-{offset}",
]


@pytest.mark.parametrize("template", GOOD)
def test_templates_that_keep_records_apart(template: str) -> None:
    check_template(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", "must hold {partition} and {offset}"),
        ("{stem}{suffix}", "must hold {partition} and {offset}"),
        ("{partition}/{stem}", "must hold {offset}"),
        ("{offset}", "must hold {partition}"),
        ("{partition}{offset}", "cannot be told from its neighbours"),
        ("{stem}{partition}-{offset}", "{partition} cannot be told"),
        ("{stem}_{partition}-{offset}{stem}", "cannot be told"),
        ("{label}_{partition}-{offset}_{stem}", "cannot be told"),
        ("{stem}1{partition}-{offset}", "{partition} cannot be told"),
        ("{stem}.{partition}.{offset}{suffix}", "cannot be told"),
        ("{partition}/{stem}.{offset}{suffix}", "{offset} cannot be told"),
        ("{partition}-{offset}x{stem}", "{offset} cannot be told"),
        ("{hour}{partition}-{offset}", "{partition} cannot be told"),
        ("{partition}-{offset:.1e}", "must be a decimal number"),
        ("{partition}-{offset:x}", "must be a decimal number"),
        ("{partition}-{offset:c}", "must be a decimal number"),
        ("{partition}-{offset:20}", "must be a decimal number"),
        ("{partition}-{offset:0999999999d}", "must be a decimal number"),
        ("{partition}-{offset!s}", "must be a decimal number"),
        ("{partition}-{offset:{partition}}", "must be a decimal number"),
        ("{partition}-{offset}_{stem:.3}", "{stem} takes no format"),
        ("{partition}-{offset}_{stem!r}", "{stem} takes no format"),
        ("{partition}-{offset}_{date:%Y}", "{date} takes no format"),
        ("{partition}-{offset}_{size}", "there is no field {size}"),
        ("{partition}-{offset}_{stem.__class__}", "there is no field {stem.__class__}"),
        ("{partition}-{offset}_{stem[0]}", "there is no field {stem[0]}"),
        ("{partition}-{offset}_{}", "there is no field {}"),
        ("{partition}-{offset}_{0}", "there is no field {0}"),
        ("{header}_{partition}-{offset}", "there is no field {header}"),
        ("{header[]}_{partition}-{offset}", "there is no field {header[]}"),
        ("{header[a][b]}_{partition}-{offset}", "there is no field {header[a][b]}"),
        ("{header[a].b}_{partition}-{offset}", "there is no field {header[a].b}"),
        ("{header[line]:>9}_{partition}-{offset}", "{header[line]} takes no format"),
        ("{header[line]}{partition}-{offset}", "{partition} cannot be told"),
        ("{header[a]}_{partition}-{offset}_{header[b]}", "cannot be told"),
        ("{suffix}/{partition}-{offset}_{stem}", "cannot be told"),
        ("{timestamp}{partition}-{offset}", "{partition} cannot be told"),
        ("".join(f"{{header[h{n}]}}_" for n in range(9)) + "{partition}-{offset}", "8 headers"),
        ("{header[line]}", "must hold {partition} and {offset}"),
        ("{label}/{stem}{suffix}", "must hold {partition} and {offset}"),
        ("{label}/{partition}/{stem}{suffix}", "must hold {offset}"),
        ("{partition}-{offset", "expected '}'"),
        ("{partition}-{offset}}", "Single '}'"),
        ("../{partition}-{offset}", "must not hold the folders"),
        ("./{partition}-{offset}", "must not hold the folders"),
        ("{partition}-{offset}/..", "must not hold the folders"),
        ("{partition}-{offset}\nDELE x", r"the character '\n'"),
        ("{partition}-{offset}\0", r"the character '\x00'"),
        ("{partition}:{offset}", "the character ':'"),
        ("a\\{partition}-{offset}", "the character '\\\\'"),
        ("%41{partition}-{offset}", "the character '%'"),
        ("a/" * 8 + "{partition}-{offset}", "9 levels"),
    ],
)
def test_templates_that_are_refused_with_their_reason(template: str, expected: str) -> None:
    with pytest.raises(ValueError, match="name template") as caught:
        check_template(template)
    assert expected in str(caught.value)


def test_the_fields_of_a_template() -> None:
    assert template_fields(DEFAULT_NAME) == {"date", "stem", "partition", "offset", "suffix"}
    assert template_fields("plain {{stem}}") == set()


def test_the_headers_of_a_template_each_once() -> None:
    template = "{header[line]}/{header[lot]}_{header[line]}_{partition}-{offset}"
    assert ("line", "lot") == template_headers(template)
    assert {"header", "partition", "offset"} == template_fields(template)
    assert () == template_headers(DEFAULT_NAME)
