"""What every DAG promises before it ever runs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("airflow_home")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dags(airflow_home):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert {} == bag.import_errors
    return bag.dags


def test_there_is_one_dag_per_pipeline_file_the_forms_and_the_monitor(dags):
    files = {path.stem for path in (ROOT / "include/pipelines").glob("*.yaml")}
    assert {f"ferry__{name}" for name in files} | {"replay", "audit", "monitor"} == set(dags)


def test_every_dag_runs_once_at_a_time_with_tags_and_retries(dags):
    for dag in dags.values():
        assert dag.max_active_runs == 1, dag.dag_id
        assert "frameferry" in dag.tags, dag.dag_id
        assert dag.doc_md, dag.dag_id
        for task in dag.tasks:
            assert task.retries >= 2, f"{dag.dag_id}.{task.task_id}"
            assert task.retry_delay.total_seconds() > 0


def test_ferry_dags_are_continuous_the_forms_run_by_hand_and_the_monitor_by_the_clock(dags):
    by_hand = dict.fromkeys(("replay", "audit"), "NullTimetable")
    beside = by_hand | {"monitor": "DeltaTriggerTimetable"}
    for dag_id, dag in dags.items():
        expected = beside.get(dag_id, "ContinuousTimetable")
        assert expected == type(dag.timetable).__name__, dag_id


def test_a_look_of_the_monitor_ends_before_the_next_begins(dags):
    from frameferry.orchestration.monitor import EVERY

    (look,) = dags["monitor"].tasks
    assert look.execution_timeout < EVERY


def test_dags_survive_the_way_through_the_metadata_database(dags):
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        dag.validate()
        dag.check_cycle()
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(dag.task_ids) == set(again.task_ids)


def test_the_wiring_of_a_pipeline(dags):
    dag = dags["ferry__press-a"]
    downstream = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert {"plan"} == downstream["wait"]
    assert {"batch.deliver"} == downstream["batch.infer"]
    assert {"batch.commit"} == downstream["batch.deliver"]
    assert {"publish", "verdict"} == downstream["batch.commit"]
    assert "all_success" == dag.get_task("batch.commit").trigger_rule
    assert "all_done" == dag.get_task("publish").trigger_rule
    assert "none_failed" == dag.get_task("verdict").trigger_rule


def test_ftp_and_spark_work_is_capped_by_pools(dags):
    dag = dags["ferry__press-a"]
    deliver = dag.get_task("batch.deliver")
    assert ("ftp__archive_ftp", 4) == (deliver.pool, deliver.pool_slots)
    assert "spark" == dag.get_task("batch.infer").pool
    for form in ("replay", "audit"):
        again = dags[form].get_task("batches_archive_ftp.deliver")
        assert ("ftp__archive_ftp__replay", 4) == (again.pool, again.pool_slots)
        assert "spark_replay" == dags[form].get_task("batches_archive_ftp.infer").pool


PARSE = """
    import socket, sqlite3, sys
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import BaseHook, Variable

    def forbidden(*args, **kwargs):
        raise AssertionError("touched at parse time")

    socket.socket.connect = forbidden
    socket.create_connection = forbidden
    BaseHook.get_connection = classmethod(forbidden)
    Variable.get = classmethod(forbidden)
    import sqlalchemy
    sqlalchemy.engine.Engine.connect = forbidden
    bag = DagBag(sys.argv[1])
    assert not bag.import_errors, bag.import_errors
    assert not bag.captured_warnings, bag.captured_warnings
    heavy = {"pyspark", "tensorflow", "keras"} & set(sys.modules)
    assert not heavy, heavy
    print(sorted(bag.dags))
"""


def test_parsing_meets_no_network_database_connection_variable_spark_or_tensorflow(airflow_home):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PARSE), str(ROOT / "dags")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    assert "ferry__press-a" in done.stdout


@pytest.fixture
def pipelines(tmp_path, monkeypatch):
    """A folder of pipelines of its own, with one whole file."""
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path))
    whole = yaml.safe_load((ROOT / "include/pipelines/press-a.yaml").read_text())
    (tmp_path / "press-a.yaml").write_text(yaml.safe_dump(whole))
    return tmp_path, whole


def built():
    from frameferry.orchestration.factory import ferry_dags

    return {dag.dag_id: dag for dag in ferry_dags()}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("pipeline: press-b\nbatch: {max_record: 1}\n", "max_record"),
        ("{{{", "cannot be read as YAML"),
        ("- a\n- b\n", "must be a mapping"),
        ("", "must be a mapping"),
    ],
)
def test_a_broken_file_leaves_a_stub_that_says_why_and_all_others_whole(pipelines, content, says):
    folder, _ = pipelines
    (folder / "press-b.yaml").write_text(content)
    dags = built()
    assert {"ferry__press-a", "ferry__press-b"} == set(dags)
    stub = dags["ferry__press-b"]
    assert says in stub.doc_md
    assert "press-b.yaml" in stub.doc_md
    assert "broken" in stub.tags
    assert [] == stub.tasks
    assert "wait" in dags["ferry__press-a"].task_ids


@pytest.mark.parametrize("name", [b"line-\xff.yaml", b"x" * 246 + b".yaml", b"a..b\n.yaml"])
def test_a_broken_file_of_any_name_goes_the_way_of_the_dag_processor(pipelines, name):
    import structlog
    from airflow.dag_processing.processor import DagFileParseRequest, _parse_file
    from airflow.sdk.execution_time.comms import _RequestFrame

    folder, _ = pipelines
    (folder / os.fsdecode(name)).write_text("pipeline: [1")
    request = DagFileParseRequest(
        file=str(ROOT / "dags/ferry.py"),
        bundle_path=ROOT / "dags",
        bundle_name="dags",
        callback_requests=[],
    )
    found = _parse_file(request, structlog.get_logger())
    assert {} == found.import_errors
    assert _RequestFrame(id=1, body=found.model_dump()).as_bytes()
    (whole, stub) = sorted(found.serialized_dags, key=lambda dag: dag.dag_id != "ferry__press-a")
    assert "ferry__press-a" == whole.dag_id
    assert "cannot be read as YAML" in stub.data["dag"]["doc_md"]


def test_two_files_with_one_name_leave_the_first_whole(pipelines):
    folder, whole = pipelines
    (folder / "press-z.yaml").write_text(yaml.safe_dump(whole))
    dags = built()
    assert "taken by press-a.yaml" in dags["ferry__press-z"].doc_md
    assert dags["ferry__press-a"].tasks


def test_adding_an_equipment_is_adding_one_file(pipelines):
    folder, whole = pipelines
    more = {**whole, "pipeline": "press-c", "deliver": {**whole["deliver"], "base": "/press-c"}}
    (folder / "press-c.yaml").write_text(yaml.safe_dump(more))
    assert {"ferry__press-a", "ferry__press-c"} == set(built())


def test_only_the_dag_that_a_task_needs_is_built(pipelines, monkeypatch):
    folder, whole = pipelines
    more = {**whole, "pipeline": "press-c", "deliver": {**whole["deliver"], "base": "/press-c"}}
    (folder / "press-c.yaml").write_text(yaml.safe_dump(more))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "ferry__press-c")
    assert {"ferry__press-c"} == set(built())


def replay():
    from frameferry.orchestration.replay import replay_dag

    return replay_dag()


def test_the_form_has_a_group_for_every_connection_whatever_its_id(pipelines):
    folder, whole = pipelines
    for number, connection in enumerate(["archive.ftp", "archive_ftp.", "a" * 200]):
        deliver = {**whole["deliver"], "connection": connection, "base": f"/{number}"}
        more = {**whole, "pipeline": f"press-{number}", "deliver": deliver}
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(more))
    groups = {task.split(".")[0] for task in replay().task_ids if task.endswith(".infer")}
    assert 4 == len(groups)
    assert "batches_archive_ftp" in groups


def test_a_replay_takes_as_many_places_as_any_pipeline_of_its_server(pipelines):
    folder, whole = pipelines
    for name, connections in {"press-b": 16, "press-c": 1}.items():
        deliver = {**whole["deliver"], "connections": connections, "base": f"/{name}"}
        more = {**whole, "pipeline": name, "deliver": deliver}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(more))
    [deliver] = [task for task in replay().tasks if task.task_id.endswith(".deliver")]
    assert 16 == deliver.pool_slots


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("record", ["0:120", None, ""], ["120", "0:x", "0:1, 0:2"]),
        ("ranges", ["0:1-3", "0:1-3, 1:4-6", "0:1-3 1:4-6 ", ""], ["0:1", "0:1-3;1:4-6", "x"]),
        ("resume_from", ["0:120", "0:120, 1:90", ""], ["120", "0:1-3"]),
        ("since", ["2026-05-01T06:00:00Z", "2026-05-01 08:00+02:00", None], ["yesterday", "2026"]),
        ("below", [0.6, 1, None], [0, 1.1, "low"]),
        ("piece_records", [1, None], [0, "many"]),
        ("partition", [0, None], [-1]),
    ],
)
def test_the_form_refuses_what_is_none_before_anything_runs(pipelines, field, right, wrong):
    from airflow.sdk.exceptions import ParamValidationError

    param = replay().params.get_param(field)
    for value in right:
        assert value == param.resolve(value)
    for value in wrong:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def test_a_pipeline_whose_name_is_a_number_stays_a_name_in_the_form(pipelines):
    folder, whole = pipelines
    more = {**whole, "pipeline": "12", "deliver": {**whole["deliver"], "base": "/12"}}
    (folder / "12.yaml").write_text(yaml.safe_dump(more))
    template = replay().get_template_env().from_string("{{ params.pipeline }}")
    assert "12" == template.render(params={"pipeline": "12"})


@pytest.mark.parametrize("form", ["audit", "replay"])
def test_both_forms_refuse_a_moment_without_a_zone_before_a_run_begins(dags, form):
    from airflow.sdk.exceptions import ParamValidationError

    since = dags[form].params.get_param("since")
    for taken in ("2026-05-01T06:00:00Z", "2026-05-01 06:00:00+00:00", "", None):
        assert taken == since.resolve(taken)
    for refused in ("2026-05-01", "2026-05-01T06:00:00", "yesterday"):
        with pytest.raises(ParamValidationError):
            since.resolve(refused)
