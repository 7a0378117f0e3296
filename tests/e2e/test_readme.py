"""What the README tells people to do, done."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openai import OpenAI

from demo.launch import Access, Sluice

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    sluice (.+)$", README, re.MULTILINE)


NOBODY = "01a20d85-9bec-76d9-973f-ec251878f37c"


def test_there_is_something_to_do() -> None:
    assert 1 == len(PYTHON)
    assert 6 <= len(COMMANDS)


def test_the_producers_snippet_answers(access: Access) -> None:
    (snippet,) = PYTHON
    code = snippet.replace("http://127.0.0.1:8080", access.gateway)
    code = code.replace("sluice_live_…", access.api_key)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert "stand-in" in done.stdout


def told_request(made: Sluice, access: Access) -> str:
    """A request whose story the ledger holds."""
    with OpenAI(base_url=access.gateway + "/v1", api_key=access.api_key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="echo", messages=[{"role": "user", "content": "Hello"}]
        )
    request = str(raw.headers["x-request-id"])
    until = time.monotonic() + 30
    while made.run("audit", "show", request).returncode and time.monotonic() < until:
        time.sleep(0.2)
    return request


@pytest.mark.parametrize("command", COMMANDS)
def test_each_operators_command_works(
    command: str, sluice: tuple[Sluice, Access]
) -> None:
    made, access = sluice
    request = told_request(made, access) if "REQUEST_ID" in command else ""
    words = command.replace("TENANT", access.tenant_id).replace("REQUEST_ID", request)
    done = made.run(*words.split())

    assert 0 == done.returncode, done.stdout + done.stderr


def test_what_is_typed_wrong_is_told_plainly(sluice: tuple[Sluice, Access]) -> None:
    made, access = sluice
    for words, told in (
        (("key", "create", "--tenant", "acme"), "expected a tenant's id"),
        (("key", "create", "--tenant", NOBODY), "expected a tenant's id"),
        (("policy", "show", "--tenant", NOBODY), "expected a tenant"),
        (("key", "rotate", "--tenant", access.tenant_id, access.tenant_id), "live key"),
        (
            ("policy", "set", "--tenant", access.tenant_id, "/dev/null"),
            "policy document",
        ),
    ):
        done = made.run(*words)

        assert 0 != done.returncode
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_a_secret_is_shown_although_kafka_is_away(
    sluice: tuple[Sluice, Access],
) -> None:
    made, access = sluice
    words = ("client", "create", "--tenant", access.tenant_id, "--kafka", "127.0.0.1:1")
    done = made.run(*words)

    assert 0 == done.returncode, done.stderr
    assert "secret: " in done.stdout
    assert "Kafka is away" in done.stderr


def test_an_unknown_setting_is_refused(sluice: tuple[Sluice, Access]) -> None:
    made, _ = sluice
    environment = {**made.environment("workers", 1), "SLUICE_KAFKAA__BOOTSTRAP": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "consumers", "screening", "--check"],
        env={**environment, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert 2 == done.returncode
    assert "SLUICE_KAFKAA__BOOTSTRAP" in done.stderr
