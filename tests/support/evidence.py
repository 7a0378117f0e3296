"""What an auditor would read of an installation: the exported records of a tenant."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson

from demo.launch import Sluice
from schemas.audit import TERMINAL

Records = list[dict[str, Any]]


def exported(sluice: Sluice, tenant: str, folder: Path) -> Records:
    """The records up to the last checkpoint, in order."""
    done = sluice.run("audit", "export", str(folder), "--tenant", tenant)

    assert 0 == done.returncode, done.stderr
    lines = next(folder.rglob("*.jsonl")).read_text().splitlines()
    return [orjson.loads(line) for line in lines]


def ended(
    sluice: Sluice,
    tenant: str,
    wanted: Collection[str],
    folder: Path,
    within_s: float = 90.0,
) -> Records:
    """The records once each request of ``wanted`` has an end, or as they are then."""
    until = time.monotonic() + within_s
    for attempt in range(1_000):
        found = exported(sluice, tenant, folder / str(attempt))
        ends = {r["request_id"] for r in found if r["action"] in TERMINAL}
        if {*wanted} <= ends or time.monotonic() > until:
            return found
        time.sleep(1)  # for the next checkpoint
    raise AssertionError("expected time to pass")
