"""``make up`` and ``make down`` over a life: found again, mended, reconfigured."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest
from openai import OpenAI

from demo.stack.daemon import started
from demo.stack.ports import free_port, is_free
from tests.support.up import CHECKOUT, Told, run

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sluice-up-"))
    yield made
    run("down", made)
    rmtree(made)


@pytest.fixture
def provider() -> Iterator[str]:
    """Somebody's provider, which speaks as OpenAI does."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.stand_in", "--port", str(port)], cwd=CHECKOUT
    )
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(10)


def pids(folder: Path) -> dict[str, int]:
    found = json.loads((folder / "up" / "running.json").read_text())["pids"]
    return {name: pid for name, (pid, _) in found.items()}


def request(told: Told, model: str = "echo") -> str:
    """Ask; the request's id."""
    with OpenAI(base_url=told.url + "/v1", api_key=told.key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "Hello"}]
        )
    content = raw.parse().choices[0].message.content

    assert "stand-in" in str(content)
    return str(raw.headers["x-request-id"])


def state(told: Told, request_id: str) -> str:
    with OpenAI(base_url=told.url + "/v1", api_key=told.key) as client:
        found = client.get(f"/requests/{request_id}", cast_to=object)
    return str(dict(found)["state"])  # type: ignore[call-overload]


def test_a_life(folder: Path, provider: str) -> None:
    first = run("up", folder)
    began = pids(folder)
    asked = request(first)
    again = run("up", folder)

    assert first.url.endswith(":8080") or not is_free(8080)
    assert (first.url, first.key) == (again.url, again.key)
    assert began == pids(folder)

    os.kill(pids(folder)["workers"], signal.SIGKILL)
    mended = run("up", folder)

    assert "ended: workers" in mended.text
    assert first.key == mended.key
    assert not set(began.values()) & set(pids(folder).values())
    assert "completed" == state(mended, asked)
    request(mended)

    environment = {"OPENAI_API_KEY": "made-up", "OPENAI_BASE_URL": provider}
    own = run("up", folder, **environment)

    assert "new settings" in own.text
    request(own, "gpt-4o")

    ran = pids(folder)
    run("down", folder)

    assert not [name for name, pid in ran.items() if started(pid)]

    back = run("up", folder, **environment)

    assert first.key == back.key
    assert "completed" == state(back, asked)
    request(back, "gpt-4o")
