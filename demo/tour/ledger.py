"""What was recorded: complete, verified, written down, and tampered with."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Final

from demo.tour.forgetting import RECEIPT_KEYS
from demo.tour.scene import EVIDENCE, ROOT, Scene
from demo.tour.show import table
from demo.tour.subscriber import Keeper

VERIFY: Final = Path(__file__).with_name("verify.md")
RECORDED_WITHIN_S: Final = 30.0
SIGNED_WITHIN_S: Final = 30.0
ENDS: Final = ("request.completed", "request.blocked", "request.failed")


async def counted(scene: Scene) -> None:
    """Kafka's accepted requests against the ledger's ends."""
    scene.heading("Completeness: what Kafka accepted, against the ledger")
    done = scene.sluice.run("completeness", "--settled-s", "0")
    scene.console.print((done.stdout + done.stderr).rstrip())
    scene.that("each accepted request has its one end", done.returncode == 0)
    # All have ended, so here a second will do for the job that runs by the clock.
    scene.sluice.set("LEDGER__SETTLED_S", "1")
    scene.sluice.spawn("completeness", "producers", "completeness")
    scene.that(
        "the job that counts by the clock recorded the same",
        await _recorded(scene, "completeness.checked"),
    )


async def _recorded(scene: Scene, action: str) -> bool:
    """Does the tenant's log get such a record in time?"""
    asked = ("--tenant", scene.access.tenant_id, "--action", action)
    until = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < until:
        found = scene.sluice.run("audit", "query", *asked, "--format", "jsonl")
        if found.stdout.strip():
            return True
        await asyncio.sleep(0.5)  # noqa: TID251 - polls another process
    return False


def verified(scene: Scene) -> None:
    """All of it is recomputed, and taken away."""
    scene.heading("The ledger, recomputed from its stored bytes")
    exported = _exported(scene)
    done = scene.sluice.run("audit", "verify")
    scene.console.print(done.stdout.rstrip())
    scene.that("it verifies", done.returncode == 0)
    scene.that(f"its records and checkpoints lie in {_short(EVIDENCE)}", exported)


def _exported(scene: Scene) -> bool:
    """Take the log away once all of it is signed: an export ends there."""
    command = ("audit", "export", str(EVIDENCE))
    until = time.monotonic() + SIGNED_WITHIN_S
    while time.monotonic() < until:
        shutil.rmtree(EVIDENCE, ignore_errors=True)
        done = scene.sluice.run(*command, "--tenant", scene.access.tenant_id)
        if done.returncode or "not signed yet" not in done.stdout:
            return done.returncode == 0
        time.sleep(0.5)
    return False


async def written(scene: Scene, keeper: Keeper, receipt: str) -> None:
    """What checks all of it without us lies beside it."""
    keeper.written(EVIDENCE / "webhooks")
    receipts = EVIDENCE / "receipts"
    receipts.mkdir()
    (receipts / "receipt.jws").write_text(receipt + "\n")
    keys = json.dumps(await scene.gateway.get(RECEIPT_KEYS), indent=1)
    (receipts / "jwks.json").write_text(keys + "\n")
    shutil.copy(VERIFY, EVIDENCE / "VERIFY.md")
    scene.console.print(f"  {_short(EVIDENCE)}/VERIFY.md checks all of it without us")


def tampered(scene: Scene) -> None:
    """One character is changed, and found."""
    scene.heading("The same ledger, with one character of one record changed")
    copy = ROOT / "tampered"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(EVIDENCE, copy)
    records = next(copy.rglob("*.jsonl"))
    lines = records.read_bytes().splitlines(keepends=True)
    target = len(lines) // 2
    lines[target] = lines[target].replace(b'"v":1', b'"v":2')
    records.write_bytes(b"".join(lines))
    judged = scene.sluice.run("audit", "verify", "--export", str(copy))
    said = judged.stdout + judged.stderr
    scene.console.print(said.rstrip())
    scene.that(
        f"verification fails, and names record {target}",
        judged.returncode == 1 and f": DOES NOT HOLD: record {target}: " in said,
    )
    shutil.rmtree(copy)


def shown(scene: Scene) -> None:
    """The table, with each request's place on the ledger."""
    ends = {
        record["request_id"]: record["seq"]
        for line in _records().read_bytes().splitlines()
        if (record := json.loads(line))["action"] in ENDS
    }
    scene.console.print()
    scene.console.print(table(scene.rows, ends))
    scene.that(
        "every request has its one end on the ledger",
        all(row.document["id"] in ends for row in scene.rows),
    )


def _records() -> Path:
    return next(EVIDENCE.rglob("*.jsonl"))


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT.parent))
