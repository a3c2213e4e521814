"""What other systems wrote down is read exactly, or refused in one clear sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from frameferry.errors import ConfigError
from frameferry.operations.adopting.exports import read_connect_offsets, read_offsets
from frameferry.operations.adopting.sources import source_of
from frameferry.operations.adopting.spark_checkpoint import read_spark_checkpoint

WRITTEN = Path(__file__).parents[1] / "data" / "spark_checkpoints"
"""By Spark 4.2.0 itself, one by 4.3.0: `make.py` beside them says how."""
TOPIC = "press-a.images"


def checkpoint(name: str, topic: str = TOPIC):
    return read_spark_checkpoint(str(WRITTEN / name), topic)


def test_a_stopped_stream_stopped_where_its_last_batch_ended():
    found = checkpoint("stopped")
    assert ({0: 4, 1: 3}, {}) == (found.offsets, found.planned_to)
    assert "batch 2 committed, query " in found.source
    assert found.planned_at is not None
    assert not found.is_of_this_topic


def test_a_batch_that_was_planned_and_not_committed_is_told_with_its_exact_ends():
    found = checkpoint("died")
    assert ({0: 4, 1: 3}, {0: 10, 1: 4}) == (found.offsets, found.planned_to)
    assert "batch 2 committed, batch 3 planned and not committed" in found.source


def test_a_later_spark_writes_the_same():
    found = checkpoint("died_on_4_3")
    assert ({0: 4, 1: 3}, {0: 10, 1: 4}) == (found.offsets, found.planned_to)
    assert "batch 0 committed, batch 1 planned and not committed" in found.source


def test_a_stream_that_died_in_its_first_batch_stopped_where_it_began():
    found = checkpoint("died_at_first")
    assert ({0: 0, 1: 0}, {0: 4, 1: 3}) == (found.offsets, found.planned_to)
    assert "no batch committed, batch 0 planned and not committed" in found.source


def test_of_a_source_of_two_topics_one_is_taken_and_the_other_named():
    found = checkpoint("two_topics")
    assert ({0: 4, 1: 3}, ("paint-b.images",)) == (found.offsets, found.others)
    assert {0: 2, 1: 0} == checkpoint("two_topics", "paint-b.images").offsets


@pytest.mark.parametrize(
    "name, said",
    [
        ("two_sources", "the stream reads 2 sources.*--offsets"),
        ("no_kafka", "the stream's source is not Kafka"),
        ("version_2", "offsets/0 is of version v2; only v1 can be read.*--offsets"),
        ("nowhere", "is no Spark checkpoint: it is no folder.*checkpointLocation"),
        ("stopped/commits", "is no Spark checkpoint: it has no folder offsets"),
    ],
)
def test_a_spark_checkpoint_that_is_of_no_use_says_why(name, said):
    with pytest.raises(ConfigError, match=said):
        checkpoint(name)


def test_another_topic_is_refused_and_both_are_named():
    with pytest.raises(ConfigError, match=r"is of topic press-a.images; .* reads other.images"):
        checkpoint("stopped", "other.images")


@pytest.mark.parametrize("place", ["hdfs://nn/ck", "s3a://bucket/ck", "dbfs:/ck"])
def test_one_on_another_machine_has_to_be_copied_first(place):
    with pytest.raises(ConfigError, match=r"is not on this machine.*copy the folder here"):
        read_spark_checkpoint(place, TOPIC)


def cut_short(folder: Path) -> None:
    path = folder / "offsets" / "3"
    path.write_bytes(path.read_bytes()[:-8])


def without_crc(folder: Path) -> None:
    cut_short(folder)
    (folder / "offsets" / ".3.crc").unlink()


def emptied(folder: Path) -> None:
    (folder / "commits" / "2").write_bytes(b"")
    (folder / "commits" / ".2.crc").unlink()


def no_text(folder: Path) -> None:
    (folder / "offsets" / "3").write_bytes(b"\xff\xfe\x00")
    (folder / "offsets" / ".3.crc").unlink()


def lost_offsets(folder: Path) -> None:
    (folder / "offsets" / "2").unlink()


def lost_commits(folder: Path) -> None:
    shutil.rmtree(folder / "commits")
    (folder / "sources" / "0" / "0").unlink()


def later_commit(folder: Path) -> None:
    (folder / "commits" / "2").write_text('v2\n{"nextBatchWatermarkMs":0}')
    (folder / "commits" / ".2.crc").unlink()


def never_planned(folder: Path) -> None:
    for log in ("offsets", "commits"):
        for path in (folder / log).iterdir():
            path.unlink()


@pytest.mark.parametrize(
    "harm, said",
    [
        (cut_short, "offsets/3 is damaged: it does not fit .3.crc"),
        (without_crc, "offsets/3 is damaged, or no JSON"),
        (emptied, "commits/2 is damaged: it does not hold what Spark writes there"),
        (no_text, "offsets/3 is damaged: it does not hold what Spark writes there"),
        (lost_offsets, "batch 2 was committed, and offsets/2 is missing"),
        (lost_commits, "no batch was committed, and sources/0/0 does not say where it began"),
        (later_commit, "commits/2 is of version v2"),
        (never_planned, "is empty: its stream never planned a batch"),
    ],
)
def test_a_damaged_spark_checkpoint_says_which_file(tmp_path, harm: Callable[[Path], None], said):
    folder = Path(shutil.copytree(WRITTEN / "died", tmp_path / "died"))
    harm(folder)
    with pytest.raises(ConfigError, match=said):
        read_spark_checkpoint(str(folder), TOPIC)


def test_files_that_were_half_written_count_as_nothing(tmp_path):
    folder = Path(shutil.copytree(WRITTEN / "died", tmp_path / "died"))
    (folder / "offsets" / ".4.0f3b.tmp").write_text("v1\n")
    (folder / "offsets" / "4.crc").write_text("")
    assert checkpoint("died").planned_to == read_spark_checkpoint(str(folder), TOPIC).planned_to


def written(folder: Path, content: object) -> Path:
    path = folder / "offsets.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_plain_offsets_are_those_of_sparks_own_option(tmp_path):
    path = written(tmp_path, {TOPIC: {"0": 123, "12": 0}, "b": {"0": 1}})
    found = read_offsets(path, TOPIC)
    assert ({0: 123, 12: 0}, ("b",)) == (found.offsets, found.others)


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "is damaged, or no JSON"),
        ("[" * 100_000, "is damaged, or no JSON"),
        ('{"t": {"0": 1, "0": 2}}', "a key is given twice"),
        ([], "holds no offsets in the form"),
        ({}, "holds no offsets in the form"),
        ({TOPIC: 3}, "holds no offsets in the form"),
        ({TOPIC: {"0": "3"}}, "holds no offsets in the form"),
        ({TOPIC: {"0": True}}, "holds no offsets in the form"),
        ({TOPIC: {"first": 3}}, "holds no offsets in the form"),
        ({TOPIC: {"0": -2}}, "holds the offset -2"),
        ({TOPIC: {"0": 2**63}}, "holds the offset 9223372036854775808"),
        ({"other": {"0": 3}}, "is of topic other; the pipeline reads press-a.images"),
    ],
)
def test_other_json_is_refused(tmp_path, content, said):
    with pytest.raises(ConfigError, match=said):
        read_offsets(written(tmp_path, content), TOPIC)


def row(partition: object, offset: object, topic: str = TOPIC) -> dict[str, object]:
    return {
        "partition": {"kafka_topic": topic, "kafka_partition": partition},
        "offset": {"kafka_offset": offset},
    }


def test_a_sinks_offsets_are_those_that_kafka_connect_tells(tmp_path):
    answer = {"offsets": [row(0, 7), row(1, 0), row(0, 9, "b")]}
    found = read_connect_offsets(written(tmp_path, answer), TOPIC)
    assert ({0: 7, 1: 0}, ("b",)) == (found.offsets, found.others)


@pytest.mark.parametrize(
    "answer, said",
    [
        ({"offsets": []}, "is empty: the connector has committed nothing"),
        ({"error_code": 404, "message": "Connector x not found"}, "is not that of a sink"),
        ({"offsets": [{"partition": {"file": "a"}, "offset": {"position": 3}}]}, "is not that of"),
        ({"offsets": [row(-1, 3)]}, "is not that of a sink connector"),
        ({"offsets": [row(0, None)]}, "holds no offsets"),
        ({"offsets": [row(0, 3), row(0, 4)]}, "names partition 0 of topic .* twice"),
    ],
)
def test_other_answers_are_refused(tmp_path, answer, said):
    with pytest.raises(ConfigError, match=said):
        read_connect_offsets(written(tmp_path, answer), TOPIC)


def test_a_file_that_is_not_there_or_is_no_file_of_offsets_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing.json: No such file"):
        read_offsets(tmp_path / "nothing.json", TOPIC)
    with pytest.raises(ConfigError, match="too large to be offsets"):
        read_offsets(Path("/dev/zero"), TOPIC)


def test_one_system_is_named_at_a_time():
    none = {"spark_checkpoint": None, "group": None, "connect_offsets": None, "offsets": None}
    for named in ({}, {"group": "g", "spark_checkpoint": "d"}):
        with pytest.raises(ConfigError, match=f"{len(named)} systems are named"):
            source_of(**{**none, **named})
