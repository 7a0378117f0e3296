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
