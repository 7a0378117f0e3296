"""Fetching the broker's jars, by programs that stand in for Maven."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.stack import StackError
from demo.stack.jars import jars

FETCHES = 'mkdir lib && touch lib/kafka.jar && sleep 0.2 && echo once >>"$CALLS"'
FAILS = "mkdir lib && touch lib/half.jar && echo 'no such artifact' && exit 1"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a new cache, a Java, and no Maven."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    program(tmp_path / "java/bin/java", "echo 'openjdk version \"17\"' >&2")
    return tmp_path


def program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_the_first_call_fetches_and_the_second_finds(machine: Path) -> None:
    program(machine / "path" / "mvn", FETCHES)

    first, second = jars(), jars()

    assert machine / "cache/sluice/kafka-4.3.1/lib" == first == second
    assert ["kafka.jar"] == [file.name for file in first.iterdir()]
    assert "once\n" == (machine / "calls").read_text()


def test_of_two_at_once_one_fetches(machine: Path) -> None:
    program(machine / "path" / "mvn", FETCHES)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: jars(), range(2))

    assert first == second
    assert "once\n" == (machine / "calls").read_text()


def test_a_fetch_that_fails_leaves_nothing_to_be_found(machine: Path) -> None:
    program(machine / "path" / "mvn", FAILS)

    with pytest.raises(StackError, match="no such artifact"):
        jars()

    assert {"lock"} == {file.name for file in machine.glob("cache/sluice/*/*")}


def test_without_maven_it_says_what_to_do(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine / "path"))

    with pytest.raises(StackError, match=r"install Java and Maven .* or start Docker"):
        jars()
