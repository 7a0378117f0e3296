"""What libraries log in a process of ours: a JSON line, and no error's text."""

import json
import subprocess
import sys
from datetime import datetime

from tests.support.started import ROOT

FAILING = """
import asyncio, gc, logging
from infra import log

async def fails():
    raise ValueError("zq-canary")

async def forgets():
    asyncio.create_task(fails())
    await asyncio.sleep(0)
    gc.collect()

log.configure("info")
try:
    raise ValueError("zq-canary")
except ValueError:
    logging.getLogger("library").exception("it failed\\nzq-canary")
asyncio.run(forgets())
"""


def test_a_librarys_error_is_a_line_without_its_text() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "zq-canary" not in done.stderr
    assert [
        ("library", "it failed", "ValueError <string>:15"),
        ("asyncio", "Task exception was never retrieved", "ValueError <string>:6"),
    ] == [(line["library"], line["said"], line["place"]) for line in lines]
    assert {("library_spoke", "error")} == {
        (line["event"], line["level"]) for line in lines
    }
    assert all(datetime.fromisoformat(line["timestamp"]).tzinfo for line in lines)


SAYING = """
import asyncio, functools, logging, sys
import uvloop
from infra import log

def fails(text):
    raise ValueError(text)

async def calls():
    loop = asyncio.get_running_loop()
    loop.call_soon(fails, "zq-canary")
    loop.call_soon(functools.partial(fails, "zq-canary"))
    await asyncio.sleep(0.01)

log.configure("info")
library = logging.getLogger("library")
library.error("%s is away: %s", "node 1", ValueError("zq-canary"))
library.error("it failed: %r", ValueError("zq-canary"))
library.error("it failed: %(why)s", {"why": ValueError("zq-canary")})
library.error("it failed: %s %s", "zq-canary")
logging.getLogger("asyncio").error("socket.send() raised exception.")
asyncio.run(calls())
uvloop.run(calls())
"""


def test_no_librarys_words_hold_an_errors_text_or_what_a_callback_was_given() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAYING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "zq-canary" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [
        "node 1 is away: ValueError",
        "it failed: 'ValueError'",
        "it failed: ValueError",
        "it failed: %s %s",
        "socket.send() raised exception.",
    ] == [line["said"] for line in lines[:5]]
    assert ["Exception in callback"] * 4 == [line["said"][:21] for line in lines[5:]]
    assert {"ValueError <string>:7"} == {line["place"] for line in lines[5:]}
