"""The subscriber's example, run as a process and sent all that may come."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from demo.stack.ports import free_port
from pipeline.webhooks import Secret, body, headers

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SECRET = Secret(bytes(range(32)))
BODY = body("evt_1", "request.completed", datetime.now(UTC), {"id": "req_1"})  # noqa: TID251
CLIENT_ERROR = "application/problem+json"


FAILING = """
import examples.subscriber as example

app, works, left = example.app, example.handle, [None]


def handle(raw):
    if left:
        left.pop()
        raise RuntimeError("the database of this handler is away")
    works(raw)


example.handle = handle
"""
"""The example with a handler that fails once."""


@pytest.fixture(scope="module")
def subscriber(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The example's URL, and what it printed."""
    folder = tmp_path_factory.mktemp("subscriber")
    with serving("examples.subscriber:app", folder) as found:
        yield found


@contextmanager
def serving(app: str, folder: Path) -> Iterator[tuple[str, Path]]:
    port, log = free_port(), folder / "log"
    command = ["uvicorn", app, f"--port={port}", f"--app-dir={folder}"]
    path = {"WEBHOOK_SECRET": SECRET.text, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **path},  # noqa: TID251 - a child's own
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}/webhooks", log
    finally:
        process.terminate()
        process.wait(10)


async def deliver(
    url: str, sent: Mapping[str, str], raw: bytes | AsyncIterator[bytes] = BODY
) -> tuple[int, str, dict[str, str]]:
    """Status, problem code ('' for success) and headers of one delivery."""
    deadline = time.monotonic() + 15
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(url, data=raw, headers=sent) as answer:
                    found = (
                        await answer.json(content_type=None)
                        if answer.content_type == CLIENT_ERROR
                        else {}
                    )
                    code = str(found.get("type", "")).rpartition("/")[2]
                    return answer.status, code, dict(answer.headers)
            except aiohttp.ClientConnectorError:
                assert time.monotonic() < deadline, "the subscriber did not start"
                await asyncio.sleep(0.05)  # noqa: TID251 - polls another process


def signed(message: str, age: timedelta = timedelta()) -> dict[str, str]:
    return dict(headers([SECRET], message, datetime.now(UTC) - age, BODY))  # noqa: TID251


async def test_a_duplicate_is_handled_once(subscriber: tuple[str, Path]) -> None:
    url, log = subscriber
    before = log.read_text().count("received ")
    sent = signed("msg_twice")

    assert 204 == (await deliver(url, sent))[0]
    assert 204 == (await deliver(url, sent))[0]
    assert 204 == (await deliver(url, signed("msg_twice")))[0]
    assert before + 1 == log.read_text().count("received ")


@pytest.mark.parametrize("age", [timedelta(seconds=301), timedelta(seconds=-301)])
async def test_outside_the_replay_window_it_is_refused(
    subscriber: tuple[str, Path], age: timedelta
) -> None:
    status, code, found = await deliver(subscriber[0], signed("msg_stale", age))

    assert (401, "webhook-timestamp-out-of-window") == (status, code)
    assert (
        'WebhookSignature error="webhook-timestamp-out-of-window"'
        == (found["WWW-Authenticate"])
    )


async def test_a_forged_body_is_refused(subscriber: tuple[str, Path]) -> None:
    status, code, found = await deliver(subscriber[0], signed("msg_f"), BODY + b" ")

    assert (401, "webhook-signature-invalid") == (status, code)
    assert CLIENT_ERROR == found["Content-Type"]


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,!!"},
        {"webhook-signature": "v1,a  v1,b"},
        {"webhook-timestamp": "yesterday"},
    ],
)
async def test_malformed_headers_are_refused_and_never_a_500(
    subscriber: tuple[str, Path], change: dict[str, str]
) -> None:
    status, _, _ = await deliver(subscriber[0], signed("msg_m") | change)

    assert status == 401


async def test_missing_headers_and_large_bodies_are_told_apart(
    subscriber: tuple[str, Path],
) -> None:
    url, _ = subscriber

    assert (400, "webhook-headers-missing") == (await deliver(url, {}))[:2]
    large = await deliver(url, signed("msg_l"), b"x" * 20_001)
    assert (413, "webhook-body-too-large") == large[:2]


async def test_an_endless_body_is_not_read_to_its_end(
    subscriber: tuple[str, Path],
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 20_000
            yield b"x" * 20_000

    async with asyncio.timeout(15):
        try:
            status, _, _ = await deliver(subscriber[0], signed("msg_e"), endless())
        except aiohttp.ClientError:  # it hung up before we had said all
            status = 413

    assert status == 413
    assert sent < 20_000_000


async def test_an_event_whose_handler_failed_is_handled_at_the_retry(
    tmp_path: Path,
) -> None:
    """And then once."""
    (tmp_path / "failing.py").write_text(FAILING)
    with serving("failing:app", tmp_path) as (url, log):
        seen = [(await deliver(url, signed("msg_again")))[0] for _ in range(3)]
        handled = log.read_text().count("received ")

    assert [500, 204, 204] == seen
    assert 1 == handled
