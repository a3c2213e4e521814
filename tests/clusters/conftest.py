"""Clusters of real processes: started once for all tests of a file's engine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from fixtures.clusters import Cluster, standalone
from fixtures.yarn import yarn

from frameferry.stack import jars


@pytest.fixture(scope="session")
def standalone_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers of one core."""
    with standalone(tmp_path_factory.mktemp("standalone")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def yarn_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A resource manager and two nodes; HADOOP_CONF_DIR names it."""
    with yarn(tmp_path_factory.mktemp("yarn")) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HADOOP_CONF_DIR", cluster.environment["HADOOP_CONF_DIR"])
        yield cluster


@pytest.fixture(params=["standalone", "yarn"], scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each engine in turn: what is promised of one is promised of the other."""
    return request.getfixturevalue(f"{request.param}_cluster")


@pytest.fixture(scope="session", autouse=True)
def _versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take the broker that `make test-clusters KAFKA=…` names, instead of the pinned one."""
    os.environ.pop("HADOOP_CONF_DIR", None)
    version = os.environ.get("FRAMEFERRY_TEST_KAFKA")
    with pytest.MonkeyPatch.context() as patch:
        if version:
            pinned = jars.BROKER.ivy.read_text(encoding="utf-8")
            ivy = tmp_path_factory.mktemp("ivy") / "ivy.xml"
            ivy.write_text(
                re.sub(r'(name="kafka_2.13" rev=")[^"]+', rf"\g<1>{version}", pinned),
                encoding="utf-8",
            )
            patch.setattr(jars, "BROKER", jars.Recipe(ivy, "kafka"))
            jars.resolve()
        yield
