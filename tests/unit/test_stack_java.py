from __future__ import annotations

import pytest

from frameferry.errors import StackError
from frameferry.stack import java


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    java.find_java.cache_clear()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "_INSTALLED", tmp_path / "none")
    yield
    java.find_java.cache_clear()


def make_java(folder, version):
    folder.mkdir(parents=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return program


def test_without_java_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"Java is not installed\. Install Java 17 or 21"):
        java.find_java()


@pytest.mark.parametrize("version", ["17.0.15", "21.0.2"])
def test_17_and_21_will_do(monkeypatch, tmp_path, version):
    program = make_java(tmp_path / "bin", version)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    assert program == java.find_java()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "25"])
def test_another_version_is_named(monkeypatch, tmp_path, version):
    program = make_java(tmp_path / "bin", version)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StackError, match=f"{program} is Java {version.split('.')[0]}"):
        java.find_java()


def test_java_home_wins_and_where_debian_puts_it_is_the_last_resort(monkeypatch, tmp_path):
    make_java(tmp_path / "path", "25")
    home = make_java(tmp_path / "home" / "bin", "21.0.1")
    debian = make_java(tmp_path / "jvm" / "java-17-openjdk-amd64" / "bin", "17.0.1")
    monkeypatch.setenv("PATH", f"{tmp_path}/path:/bin:/usr/bin")
    monkeypatch.setattr(java, "_INSTALLED", tmp_path / "jvm")
    assert debian == java.find_java()

    java.find_java.cache_clear()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert home == java.find_java()
