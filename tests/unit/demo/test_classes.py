"""The archive of the broker's classes, by makers that stand in for a broker."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from demo.stack import StackError
from demo.stack.classes import classes


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """Its Java, and where the jars lie."""
    java = tmp_path / "java"
    java.write_text("a Java")
    (tmp_path / "lib").mkdir()
    return java, tmp_path / "lib"


def test_of_two_at_once_one_makes_it_and_both_start_with_it(
    machine: tuple[Path, Path],
) -> None:
    made: list[Path] = []

    def make(archive: Path) -> None:
        made.append(archive)
        sleep(0.1)
        archive.write_text("classes")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: classes(*machine, make), range(2))

    assert 1 == len(made)
    assert first == second
    (option,) = first
    flag, _, path = option.partition("=")
    assert ("-XX:SharedArchiveFile", "classes") == (flag, Path(path).read_text())


def test_a_java_that_makes_none_is_asked_once(machine: tuple[Path, Path]) -> None:
    asked: list[Path] = []
    options = [classes(*machine, asked.append) for _ in range(2)]

    assert [(), ()] == options
    assert 1 == len(asked)


def test_another_java_makes_its_own(machine: tuple[Path, Path]) -> None:
    java, lib = machine

    def make(archive: Path) -> None:
        archive.write_text("classes")

    before = classes(java, lib, make)
    java.write_text("another Java")

    assert before != classes(java, lib, make)


def test_one_that_failed_is_tried_again(machine: tuple[Path, Path]) -> None:
    def fail(archive: Path) -> None:
        archive.write_text("half")
        raise StackError("Kafka ended at its start")

    def make(archive: Path) -> None:
        archive.write_text("whole")

    with pytest.raises(StackError, match="ended"):
        classes(*machine, fail)
    (option,) = classes(*machine, make)

    assert "whole" == Path(option.partition("=")[2]).read_text()
