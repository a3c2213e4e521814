"""One YAML file a pipeline: what is taken, what is refused, and in which words."""

from __future__ import annotations

import os
import textwrap
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from frameferry.config import folder
from frameferry.config.folder import (
    broken_names,
    find_again,
    find_pipeline,
    load_all,
    pipeline_files,
    shared_places,
)
from frameferry.config.pools import (
    FTP_SLOTS,
    REPLAY_SPARK_POOL,
    REPLAY_SPARK_SLOTS,
    SPARK_POOL,
    SPARK_SLOTS,
    ftp_pool,
    pool_slots,
    replay_ftp_pool,
)
from frameferry.config.raw import RawConnection
from frameferry.config.settings import DEFAULT_NAME, PipelineSettings, load_pipeline
from frameferry.errors import ConfigError, ConnectionMissing

ROOT = Path(__file__).parents[2]
NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"
SMALLEST: dict[str, Any] = {
    "pipeline": "press-a",
    "kafka": {"connection": "plant_kafka", "topic": "press-a.images"},
    "model": {"path": "include/models/surface/1"},
    "deliver": {"connection": "archive_ftp", "base": "/press-a"},
}
YAML = """
pipeline: press-a
kafka: {connection: plant_kafka, topic: press-a.images}
model: none
deliver: {connection: archive_ftp, base: /press-a}
"""


def settings(**blocks: Any) -> PipelineSettings:
    merged = {
        key: dict(value) if isinstance(value, dict) else value for key, value in SMALLEST.items()
    }
    for block, keys in blocks.items():
        merged[block] = {**merged.get(block, {}), **keys} if isinstance(keys, dict) else keys
    return PipelineSettings.model_validate(merged)


def written(folder: Path, text: str = YAML, name: str = "press-a.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(written(folder, text))
    assert "\n" not in str(caught.value)
    return caught.value.what


def test_four_blocks_are_enough() -> None:
    found = settings()
    assert found.kafka.partitions == "all"
    assert found.kafka.start == "earliest"
    assert found.deliver.name == DEFAULT_NAME
    assert (
        found.deliver.timezone,
        found.deliver.after,
        found.deliver.connections,
    ) == ("UTC", "kept", 4)
    assert (
        found.batch.target_seconds,
        found.batch.linger_seconds,
        found.batch.max_records,
        found.batch.max_open,
    ) == (60, 5, 20_000, 2)
    assert found.batch.max_bytes == 2 * 1024**3
    assert found.spark.connection == "spark_default"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().batch.max_open = 3


@pytest.mark.parametrize("name", ["press-a", "a", "0", "a" * 63, "line-3-b"])
def test_names_that_a_pipeline_may_have(name: str) -> None:
    assert name == settings(pipeline=name).pipeline


@pytest.mark.parametrize(
    "name",
    ["", "Press-A", "press_a", "-a", "a-", "a" * 64, "press a", "press-a\n", "도장", "a/b", "a.b"],
)
def test_names_that_a_pipeline_may_not_have(name: str) -> None:
    with pytest.raises(ValidationError, match="pipeline"):
        settings(pipeline=name)


def test_a_share_of_a_topic() -> None:
    assert settings(kafka={"partitions": [0, 2]}).kafka.partitions == (0, 2)


@pytest.mark.parametrize("partitions", [[], [0, 0], [0, "0"], [-1], ["x"], "al", 3, None, {"0": 1}])
def test_partitions_that_make_no_sense(partitions: Any) -> None:
    with pytest.raises(ValidationError, match="partitions"):
        settings(kafka={"partitions": partitions})


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", "earliest"),
        ({"0": 4711, "1": 0}, {0: 4711, 1: 0}),
        ("adopt", "adopt"),
        ({0: 4711}, {0: 4711}),
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (
            "2026-11-23T08:00:00+09:00",
            datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=9))),
        ),
        (datetime(2026, 11, 23, 8, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)),
    ],
)
def test_where_to_begin(start: Any, expected: Any) -> None:
    assert expected == settings(kafka={"start": start}).kafka.start


@pytest.mark.parametrize(
    "start",
    [
        "latest",
        "",
        4711,
        0,
        1.5,
        True,
        None,
        [0],
        {},
        {"0": -1},
        {"x": 0},
        {"-1": 0},
        "4711",
        "2026-11-23",
        "2026-11-23T08:00:00",
        datetime(2026, 11, 23, 8, tzinfo=UTC).replace(tzinfo=None),
        date(2026, 11, 23),
    ],
)
def test_where_not_to_begin(start: Any) -> None:
    with pytest.raises(ValidationError, match="start"):
        settings(kafka={"start": start})


def test_a_start_belongs_to_a_partition_of_ours() -> None:
    assert settings(kafka={"partitions": [0, 1], "start": {"0": 5}}).kafka.start == {0: 5}
    with pytest.raises(ValidationError, match=r"not in partitions: \[2\]"):
        settings(kafka={"partitions": [0, 1], "start": {"2": 5}})


@pytest.mark.parametrize("topic", ["", "a b", "a/b", "a" * 250, "토픽", "a\n"])
def test_topics_that_kafka_does_not_know(topic: str) -> None:
    with pytest.raises(ValidationError, match="topic"):
        settings(kafka={"topic": topic})


@pytest.mark.parametrize("conn_id", ["", "a b", "ftp/x", "é", "x" * 201])
def test_connection_ids_that_no_variable_could_hold(conn_id: str) -> None:
    with pytest.raises(ValidationError, match=r"deliver\.connection"):
        settings(deliver={"connection": conn_id})


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/press-a", "/press-a"),
        ("/press-a/", "/press-a"),
        ("//press-a//images/", "/press-a/images"),
        ("/", "/"),
        ("/도장/라인 3", "/도장/라인 3"),
    ],
)
def test_bases_have_one_spelling(base: str, expected: Any) -> None:
    assert expected == settings(deliver={"base": base}).deliver.base


@pytest.mark.parametrize(
    "base",
    [
        "",
        "press-a",
        "/a/../b",
        "/..",
        "/a/./b",
        "/a\nDELE x",
        "/a\0",
        "/a\x7f",
        "/a\u0085",
        "/" + "é" * 500,
    ],
)
def test_bases_that_could_be_taken_amiss(base: str) -> None:
    with pytest.raises(ValidationError, match=r"deliver\.base"):
        settings(deliver={"base": base})


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "", "../etc/passwd", "Asia", "UTC\0", "/etc/localtime"]
)
def test_zones_that_do_not_exist(zone: str) -> None:
    with pytest.raises(ValidationError, match="time zone"):
        settings(deliver={"timezone": zone})


def test_a_zone_is_ready_to_use() -> None:
    assert (
        timedelta(hours=9)
        == datetime(
            2026, 1, 1, tzinfo=settings(deliver={"timezone": "Asia/Seoul"}).deliver.zone
        ).utcoffset()
    )


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [
        ("batch", "max_records", 0),
        ("batch", "max_open", 0),
        ("batch", "max_bytes", 0),
        ("batch", "max_bytes", "2 cups"),
        ("batch", "target_seconds", 0),
        ("batch", "target_seconds", float("inf")),
        ("batch", "linger_seconds", -1),
        ("batch", "linger_seconds", float("nan")),
        ("model", "threshold", 1.1),
        ("model", "path", ""),
        ("model", "labels", "good"),
        ("deliver", "connections", 0),
        ("deliver", "connections", 17),
        ("deliver", "after", "maybe"),
        ("deliver", "sidecar", "xml"),
        ("deliver", "illegal", "ignore"),
        ("deliver", "empty", "ignore"),
        ("deliver", "part_name", "dots"),
        ("watch", "retention_hours", 0),
    ],
)
def test_values_out_of_bounds(block: str, key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"{block}\..*{key}"):
        settings(**{block: {key: value}})


@pytest.mark.parametrize(
    ("text", "expected"), [("2GiB", 2 * 1024**3), ("500 MB", 500_000_000), ("1024", 1024)]
)
def test_bytes_with_units(text: str, expected: Any) -> None:
    assert expected == settings(batch={"max_bytes": text}).batch.max_bytes


def test_the_digest_changes_with_every_setting_and_with_nothing_else() -> None:
    assert settings().digest == settings().digest
    assert settings().digest != settings(batch={"max_open": 3}).digest


def test_a_label_in_the_name_needs_a_model() -> None:
    routed = {"name": "{label}/{stem}_{partition}-{offset:020d}{suffix}"}
    assert settings(deliver=routed).deliver.name == routed["name"]
    with pytest.raises(ValidationError, match="model is none"):
        settings(deliver=routed, model="none")


# -- files


def test_a_whole_file(tmp_path: Path) -> None:
    found = load_pipeline(written(tmp_path))
    assert (found.pipeline, found.model) == ("press-a", "none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            YAML + "batch: {max_record: 5}",
            "press-a.yaml: batch.max_record: Extra inputs are not permitted",
        ),
        (
            YAML.replace("none", "{path: m, treshold: 1}"),
            "press-a.yaml: model.treshold: Extra inputs are not permitted",
        ),
        (YAML.replace("none", "{}"), "press-a.yaml: model: needs a path or a judge, and not both"),
        (
            YAML.replace("none", "m.keras"),
            "press-a.yaml: model: must be none, or a mapping with a path or a judge",
        ),
        (YAML.replace("topic: press-a.images", ""), "press-a.yaml: kafka.topic: Field required"),
        (YAML.replace("model: none", ""), "press-a.yaml: model: Field required"),
        (YAML + "5: 6", "press-a.yaml: 5: Keys should be strings"),
        (
            YAML.replace("images}", "images, partitions: [0, x]}"),
            f"press-a.yaml: kafka.partitions.1: {NO_INTEGER}",
        ),
        (
            YAML.replace("images}", "images, start: {0: x}}"),
            f"press-a.yaml: kafka.start.0: {NO_INTEGER}",
        ),
    ],
)
def test_a_wrong_key_is_named_as_it_stands_in_the_file(
    tmp_path: Path, text: str, expected: Any
) -> None:
    assert expected == refusal(tmp_path, text).split("; ")[0]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    what = refusal(
        tmp_path, YAML.replace("/press-a}", "press-a}") + "batch: {max_open: 0}\nspeed: 3\n"
    )
    for key in ("deliver.base", "batch.max_open", "speed"):
        assert f"press-a.yaml: {key}: " in what


def test_start_latest_is_refused_in_words_that_help(tmp_path: Path) -> None:
    assert "must be earliest, adopt, a time with its zone" in refusal(
        tmp_path, YAML.replace("images}", "images, start: latest}")
    )


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    what = refusal(tmp_path, YAML + "batch: {max_open: 1}\nbatch: {max_records: 5}\n")
    assert "a key that stands here twice: batch" in what


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "just words",
        "a: [1",
        "a: !!python/object:os.system {}",
        "\tx: 1",
        "x: !!bool maybe",
        "x: !!int ''",
        "x: !!timestamp soon",
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith("press-a.yaml: ")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "press-a.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        load_pipeline(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pipeline(tmp_path / "none.yaml")


def test_only_yaml_files_that_are_not_hidden_are_pipelines(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", ".#b.yaml", "._a.yml", "b.yaml.bak", "notes.txt"):
        written(tmp_path, name=name)
    assert [path.name for path in pipeline_files(tmp_path)] == ["a.yml", "b.yaml"]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FRAMEFERRY_PIPELINES"):
        pipeline_files(tmp_path / "none")


def test_files_are_read_again_exactly_when_one_has_changed(tmp_path: Path) -> None:
    path = written(tmp_path)
    first, _ = load_all(tmp_path)
    again, _ = load_all(tmp_path)
    assert again[path] is first[path]
    before = path.stat()
    # As long, and dated as before: what an editor or a copy may leave.
    path.write_text(path.read_text().replace("press", "prezz"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed, _ = load_all(tmp_path)
    assert changed[path] != first[path]
    path.write_text("pipeline: [")
    whole, broken = load_all(tmp_path)
    assert ({}, [path]) == (whole, list(broken))
    broken.clear()
    assert load_all(tmp_path)[1]
    path.unlink()
    assert ({}, {}) == load_all(tmp_path)


def test_who_asks_again_and_again_reads_a_file_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at the folder and the own file, however many pipelines there are."""
    for name in ("press-a", "press-b", "press-c"):
        written(tmp_path, YAML.replace("press-a", name), f"{name}.yaml")
    asked: list[Path] = []
    stamp = folder._stamp
    monkeypatch.setattr(folder, "_stamp", lambda path: (asked.append(path), stamp(path))[1])
    first = find_again(tmp_path, "press-b")
    asked.clear()
    assert first is find_again(tmp_path, "press-b")
    assert [tmp_path, tmp_path / "press-b.yaml"] == asked
    changed = YAML.replace("press-a", "press-b") + "batch: {max_records: 7}\n"
    written(tmp_path, changed, "press-b.yaml")
    assert 7 == find_again(tmp_path, "press-b").batch.max_records
    (tmp_path / "press-b.yaml").unlink()
    with pytest.raises(ConfigError, match="no pipeline 'press-b'"):
        find_again(tmp_path, "press-b")


def test_a_broken_file_does_not_take_the_others_down(tmp_path: Path) -> None:
    good = written(tmp_path)
    bad = written(tmp_path, "pipeline: paint-b", name="paint-b.yaml")
    whole, broken = load_all(tmp_path)
    assert {good} == set(whole)
    assert {bad} == set(broken)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (YAML.replace("base: /press-a", "base: /b"), "pipeline: 'press-a' is taken by a.yaml"),
        (
            YAML.replace("pipeline: press-a", "pipeline: b"),
            "deliver.base: '/press-a' on archive_ftp is taken by a.yaml",
        ),
        (
            YAML.replace("pipeline: press-a", "pipeline: b").replace(
                "base: /press-a", "base: //PRESS-A/"
            ),
            "deliver.base: '/PRESS-A' on archive_ftp is taken by a.yaml",
        ),
    ],
)
def test_two_pipelines_share_neither_name_nor_place(tmp_path: Path, second: str, why: str) -> None:
    written(tmp_path, name="a.yaml")
    later = written(tmp_path, second, name="b.yaml")
    whole, broken = load_all(tmp_path)
    assert [path.name for path in whole] == ["a.yaml"]
    assert f"b.yaml: {why}" == broken[later].what


@pytest.mark.parametrize("inner", ["/press-a/b", "/PRESS-A/b/c"])
@pytest.mark.parametrize("sidecars", [(True, False), (False, True), (False, False)])
def test_bases_lie_in_one_another_only_where_no_sidecar_could_meet_a_picture(
    tmp_path: Path, inner: str, sidecars: tuple[bool, bool]
) -> None:
    texts = [
        YAML,
        YAML.replace("pipeline: press-a", "pipeline: b").replace(
            "base: /press-a", f"base: {inner}"
        ),
    ]
    for name, text, sidecar in zip("ab", texts, sidecars, strict=True):
        wanted = text.replace("deliver: {", "deliver: {sidecar: json, ") if sidecar else text
        written(tmp_path, wanted, name=f"{name}.yaml")
    _, broken = load_all(tmp_path)
    assert [any(sidecars)] == [bool(broken)]
    assert all("lie in one another" in error.what for error in broken.values())


def test_a_base_that_only_begins_alike_lies_beside(tmp_path: Path) -> None:
    sidecar = YAML.replace("deliver: {", "deliver: {sidecar: json, ")
    written(tmp_path, sidecar, name="a.yaml")
    other = sidecar.replace("pipeline: press-a", "pipeline: b").replace("/press-a", "/press-ab")
    written(tmp_path, other, name="b.yaml")
    assert {} == load_all(tmp_path)[1]


SERVERS = {
    "archive_ftp": RawConnection("archive_ftp", "ftp", "FTP.example", login="ferry"),
    "one_more_id": RawConnection("one_more_id", "ftp", "ftp.example", 21, "ferry", "password"),
    "other_user": RawConnection("other_user", "ftp", "ftp.example", login="other"),
    "other_port": RawConnection("other_port", "ftp", "ftp.example", 2121, "ferry"),
    "other_host": RawConnection("other_host", "ftp", "other.example", login="ferry"),
}


def resolved(conn_id: str) -> RawConnection:
    if conn_id not in SERVERS:
        raise ConnectionMissing(conn_id)
    return SERVERS[conn_id]


def beside(folder: Path, connection: str, base: str = "/press-a", sidecar: str = "none") -> Path:
    """Write a second pipeline's file beside the usual one."""
    written(folder, name="a.yaml")
    text = YAML.replace("pipeline: press-a", "pipeline: b").replace("archive_ftp", connection)
    text = text.replace("deliver: {", f"deliver: {{sidecar: {sidecar}, ")
    return written(folder, text.replace("base: /press-a", f"base: {base}"), name="b.yaml")


@pytest.mark.parametrize("base", ["/press-a", "/PRESS-A/"])
def test_a_place_under_two_connection_ids_is_found_once_they_are_resolved(
    tmp_path: Path, base: str
) -> None:
    later = beside(tmp_path, "one_more_id", base)
    whole, broken = load_all(tmp_path)
    assert {} == broken
    [(path, error)] = shared_places(whole, resolved).items()
    assert later == path
    assert (
        f"b.yaml: deliver.base: '{base.rstrip('/')}' on one_more_id is taken by a.yaml "
        "(pipeline press-a, whose archive_ftp is the same server and user)"
    ) == error.what


def test_bases_in_one_another_meet_under_two_connection_ids_too(tmp_path: Path) -> None:
    later = beside(tmp_path, "one_more_id", "/press-a/2026", sidecar="json")
    [(path, error)] = shared_places(load_all(tmp_path)[0], resolved).items()
    assert later == path
    assert "lie in one another" in error.what


@pytest.mark.parametrize(
    ("connection", "base"),
    [
        ("one_more_id", "/press-b"),
        ("one_more_id", "/press-a/2026"),
        ("other_user", "/press-a"),
        ("other_port", "/press-a"),
        ("other_host", "/press-a"),
        ("not_defined", "/press-a"),
    ],
)
def test_other_places_and_connections_that_nobody_knows_clash_with_nothing(
    tmp_path: Path, connection: str, base: str
) -> None:
    beside(tmp_path, connection, base)
    assert {} == shared_places(load_all(tmp_path)[0], resolved)


def test_a_pipeline_is_found_by_its_name_not_by_its_file(tmp_path: Path) -> None:
    written(tmp_path, name="first.yaml")
    assert find_pipeline(tmp_path, "press-a").pipeline == "press-a"


def test_an_unknown_pipeline_lists_those_that_are(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, "{{{", name="b.yaml")
    with pytest.raises(ConfigError) as caught:
        find_pipeline(tmp_path, "paint-b")
    assert "there are: press-a; broken files: b.yaml" in caught.value.what


def test_a_broken_pipeline_says_why(tmp_path: Path) -> None:
    written(tmp_path, "pipeline: press-a")
    with pytest.raises(ConfigError, match=r"press-a.yaml: kafka: Field required"):
        find_pipeline(tmp_path, "press-a")


def test_the_committed_pipeline_files_are_whole() -> None:
    whole, broken = load_all(ROOT / "include/pipelines")
    assert broken == {}
    assert {"press-a", "paint-b"} == {found.pipeline for found in whole.values()}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("line-3.yaml", "pipeline: paint-b", "paint-b"),
        ("line-3.yaml", "pipeline: Paint B", "line-3"),
        ("line-3.yaml", "pipeline: press-a", "line-3"),
        ("line-3.yaml", "{{{", "line-3"),
        ("라인 3.yaml", "{{{", "---3"),
        ("press-a.yml", YAML, "press-a.yml"),
    ],
)
def test_a_broken_file_goes_by_a_name_of_its_own(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    written(tmp_path)
    broken = written(tmp_path, text, name=name)
    named = broken_names(*load_all(tmp_path))
    assert list(named) == [expected]
    assert broken.name in named[expected].what


def test_a_long_name_is_cut_and_still_tells_files_apart(tmp_path: Path) -> None:
    for last in "ab":
        written(tmp_path, "{{{", name=f"{'x' * 240}{last}.yaml")
    names = list(broken_names(*load_all(tmp_path)))
    assert [109, 109] == [len(name) for name in names]
    assert names[0][:100] == names[1][:100] != "" != names[0] != names[1]


def test_what_is_wrong_with_a_file_of_odd_bytes_can_be_said(tmp_path: Path) -> None:
    broken = written(tmp_path, "{{{", name="line-\udcff.yaml")
    [error] = load_all(tmp_path)[1].values()
    assert r"line-\udcff.yaml: cannot be read" in str(error)
    assert broken.name.encode(errors="surrogateescape") == b"line-\xff.yaml"


def test_many_broken_files_never_share_a_name(tmp_path: Path) -> None:
    for name in ("a b.yaml", "a?b.yaml", "a*b.yaml", "a b.yml"):
        written(tmp_path, "{{{", name=name)
    assert len(broken_names(*load_all(tmp_path))) == 4


# -- pools


def test_pools_have_room_for_every_pipeline() -> None:
    many = settings(deliver={"connections": 12, "connection": "far"})
    assert {
        SPARK_POOL: SPARK_SLOTS,
        REPLAY_SPARK_POOL: REPLAY_SPARK_SLOTS,
        ftp_pool("far"): 12,
        replay_ftp_pool("far"): 12,
        ftp_pool("archive_ftp"): FTP_SLOTS,
        replay_ftp_pool("archive_ftp"): settings().deliver.connections,
    } == pool_slots([settings(), many, settings()])
