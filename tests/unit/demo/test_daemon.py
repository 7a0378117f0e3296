"""Finding a process again."""

import json
import os
from pathlib import Path

from demo.stack.daemon import Daemon, started

NOBODY = 2**22 + 1
"""Above the largest pid of a 64-bit Linux."""


def remembered(folder: Path, pid: int, start: str) -> Daemon:
    file = folder / "running.json"
    ports = {"broker": 20_001}
    file.write_text(json.dumps({"pid": pid, "started": start, "ports": ports}))
    return Daemon(file)


def test_a_process_is_found_by_its_pid_and_its_start(tmp_path: Path) -> None:
    daemon = remembered(tmp_path, os.getpid(), str(started(os.getpid())))

    assert os.getpid() == daemon.pid


def test_a_stranger_with_the_same_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    daemon = remembered(tmp_path, os.getpid(), "another time")

    daemon.kill()

    assert None is daemon.pid


def test_a_process_that_is_gone_is_not_found(tmp_path: Path) -> None:
    daemon = remembered(tmp_path, NOBODY, "12345")

    assert None is daemon.pid


def test_its_ports_are_remembered_after_its_end(tmp_path: Path) -> None:
    daemon = remembered(tmp_path, NOBODY, "12345")

    assert 20_001 == daemon.port("broker")


def test_before_the_first_start_there_is_neither(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "running.json")

    assert (None, None) == (daemon.pid, daemon.port("broker"))


def test_a_process_has_one_start() -> None:
    assert started(os.getpid()) == started(os.getpid())
    assert None is started(NOBODY)
