"""Asking for a Docker engine where there is none."""

from pathlib import Path

import pytest

from demo.stack.engine import engine_answers


def test_nobody_answers_on_a_socket_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    assert not engine_answers()


def test_nobody_answers_on_a_port_that_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    assert not engine_answers()
