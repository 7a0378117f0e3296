"""What the README tells people to do, done as it stands there."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from openai import OpenAI

from demo.stack.ports import free_port
from tests.support.up import CHECKOUT, Told, run, shell

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

README = (CHECKOUT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SECTIONS = dict(
    re.findall(r"^## (\w+)$(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)
)
SOURCE, *COMMANDS = re.findall(r"^    (.+)$", SECTIONS["Operators"], re.MULTILINE)
SLUICE = [command for command in COMMANDS if command.startswith("sluice ")]
(GROUPS,) = [command for command in COMMANDS if command.startswith("python ")]
(SUBSCRIBER,) = re.findall(r"^    (.+)$", SECTIONS["Subscribers"], re.MULTILINE)

NOBODY = "01a20d85-9bec-76d9-973f-ec251878f37c"
BEGINS_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def up() -> Iterator[Told]:
    """``make up``, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-up-"))
    try:
        yield run("up", folder)
    finally:
        run("down", folder)
        rmtree(folder)


def sourced(command: str, up: Told) -> str:
    """The command after the line that the README begins with."""
    assert ". .sluice/up/env" == SOURCE
    return f". {up.environment} && {command}"


def test_there_is_something_to_do() -> None:
    assert 1 == len(PYTHON)
    assert 8 == len(SLUICE)
    assert len(COMMANDS) == len(SLUICE) + 1


def test_the_producers_snippet_answers(up: Told) -> None:
    (snippet,) = PYTHON
    code = snippet.replace("http://127.0.0.1:8080", up.url)
    code = code.replace("sluice_live_…", up.key)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert "stand-in" in done.stdout


@pytest.mark.parametrize("program", ["curl", "python"])
def test_the_lines_to_paste_answer(up: Told, program: str) -> None:
    done = shell(up.line(program))

    assert 0 == done.returncode, done.stderr
    assert "stand-in" in done.stdout


def test_the_environment_is_its_owners_alone(up: Told) -> None:
    assert 0o600 == up.environment.stat().st_mode & 0o777


def told_request(up: Told) -> str:
    """A request whose story the ledger holds."""
    with OpenAI(base_url=up.url + "/v1", api_key=up.key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="echo", messages=[{"role": "user", "content": "Hello"}]
        )
    request = str(raw.headers["x-request-id"])
    show = sourced(f"sluice audit show {request}", up)
    until = time.monotonic() + BEGINS_WITHIN_S
    while shell(show).returncode and time.monotonic() < until:
        time.sleep(0.2)
    return request


@pytest.mark.parametrize("command", SLUICE)
def test_each_operators_command_works(command: str, up: Told) -> None:
    request = told_request(up) if "REQUEST_ID" in command else ""
    done = shell(sourced(command.replace("REQUEST_ID", request), up))

    assert 0 == done.returncode, done.stdout + done.stderr


def test_groups_run_beside_those_that_run(up: Told, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", sourced(f"exec {GROUPS}", up)],
            stderr=out,
            env={"PATH": os.defpath},
            cwd=CHECKOUT,
        )
    until = time.monotonic() + BEGINS_WITHIN_S
    while b'"started"' not in log.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)

    assert b'"started"' in log.read_bytes()
    assert 0 == code, log.read_text()


def test_the_subscribers_line_serves(up: Told, tmp_path: Path) -> None:
    port = free_port()
    line = SUBSCRIBER.replace("whsec_…", "whsec_" + "MDEy" * 8)
    line = f"export WEBHOOK_DATABASE={tmp_path}/db; " + line.replace("9000", str(port))
    process = subprocess.Popen(
        ["bash", "-c", sourced(line, up)],
        env={"PATH": os.defpath},
        cwd=CHECKOUT,
        start_new_session=True,
    )
    try:
        status = answered(f"http://127.0.0.1:{port}/webhooks")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)

    assert 405 == status


def answered(url: str) -> int:
    """The status of a GET, once somebody listens."""
    until = time.monotonic() + BEGINS_WITHIN_S
    while time.monotonic() < until:
        try:
            with urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except URLError:
            time.sleep(0.1)
    return 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("key create --tenant acme", "expected a tenant's id"),
        (f"key create --tenant {NOBODY}", "expected a tenant's id"),
        (f"policy show --tenant {NOBODY}", "expected a tenant"),
        ("key rotate --tenant $TENANT $TENANT", "live key"),
        ("policy set --tenant $TENANT /dev/null", "policy document"),
    ],
)
def test_what_is_typed_wrong_is_told_plainly(up: Told, command: str, told: str) -> None:
    done = shell(sourced(f"sluice {command}", up))

    assert 0 != done.returncode
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_is_shown_although_kafka_is_away(up: Told) -> None:
    command = "sluice client create --tenant $TENANT --kafka 127.0.0.1:1"
    done = shell(sourced(command, up))

    assert 0 == done.returncode, done.stderr
    assert "secret: " in done.stdout
    assert "Kafka is away" in done.stderr


def test_an_unknown_setting_is_refused(up: Told) -> None:
    command = "SLUICE_KAFKAA__BOOTSTRAP=x python -m consumers screening --check"
    done = shell(sourced(command, up))

    assert 2 == done.returncode
    assert "SLUICE_KAFKAA__BOOTSTRAP" in done.stderr
