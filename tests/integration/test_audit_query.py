"""``sluice audit query``, ``proof`` and ``rotate-key`` on a real database."""

import asyncio
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demo.stack import Stack
from infra.exports import read_keys
from infra.log import Log
from infra.postgres.roles import dsn
from infra.signer.ed25519 import FileSigner, ensure_key, public_keys
from infra.signer.state import STATE, FileState
from infra.system import SystemClock
from pipeline.audit import ROOT, record
from pipeline.checkpoint import open_note, parse_note
from pipeline.proofs import parse_proof, verify_proof
from pipeline.querying import Query
from pipeline.root import KEYS
from producers.checkpointer import Checkpointer
from producers.cli.audit import audit
from schemas.ids import TenantId
from tests.support.audit import NOON, TENANT, recorded, request_id
from tests.support.ledger import (
    SECRET,
    Books,
    Database,
    database,
    execute,
    new_tenant,
    opened,
)

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
STEPS = ("accepted", "screened", "completed")
REQUESTS = 40


@dataclass(frozen=True, slots=True)
class Scene:
    """A tenant's log of 40 requests, signed."""

    made: Database
    url: str
    signer: Path
    tenant: TenantId

    def run(self, *words: str) -> Result:
        env = {
            "SLUICE_DATABASE__ADMIN_URL": self.url,
            "SLUICE_LEDGER__SIGNER_DIRECTORY": str(self.signer),
            "COLUMNS": "200",
        }
        return CliRunner().invoke(audit, words, env=env)

    def lines(self, *words: str) -> list[dict[str, Any]]:
        command = ("query", "--tenant", self.tenant, "--format", "jsonl", *words)
        result = self.run(*command)
        assert 0 == result.exit_code, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


def checkpointer(books: Books, signer: Path) -> Checkpointer:
    return Checkpointer(
        ledger=books.ledger,
        logs=books.logs,
        signer=FileSigner(signer, CLOCK),
        state=FileState(signer / STATE),
        clock=CLOCK,
        log=Log("test"),
    )


async def prepare(scene: Scene) -> None:
    await execute(scene.made.admin, f"alter role sluice_operator password '{SECRET}'")
    ensure_key(scene.signer, bytes(32), CLOCK.now())
    events = [
        recorded(
            f"{number} {step}",
            f"request.{step}",
            tenant=scene.tenant,
            request=f"r{number}",
            time=NOON + timedelta(minutes=number),
        )
        for number in range(REQUESTS)
        for step in STEPS
    ]
    async with opened(scene.made) as books:
        await books.ledger.append(events)
        await checkpointer(books, scene.signer).round()


@pytest.fixture
def scene(stack: Stack, tmp_path: Path) -> Iterator[Scene]:
    with database(stack.postgres_url) as made:
        name = made.admin.rpartition("/")[2]
        url = dsn(stack.postgres_url, name, "sluice_operator", SECRET)
        scene = Scene(made, url, tmp_path / "signer", new_tenant())
        asyncio.run(prepare(scene))
        yield scene


def test_records_are_found_by_request_actor_action_and_time(scene: Scene) -> None:
    one = scene.lines("--request", request_id("r7"))
    blocked = scene.lines("--action", "request.completed", "--limit", "1000")
    own = scene.lines("--actor", "system:ledger")
    some = scene.lines(
        *("--since", "2026-01-01T12:05:00", "--until", "2026-01-01T12:07:00")
    )

    assert [f"request.{step}" for step in STEPS] == [each["action"] for each in one]
    assert REQUESTS == len(blocked)
    assert ["log.created"] == [each["action"] for each in own]
    assert [16, 17, 18, 19, 20, 21] == [each["seq"] for each in some]


def test_pages_lead_on_to_the_end(scene: Scene) -> None:
    found, after = list[int](), -1
    while True:
        words = ("--after", str(after), "--limit", "50", "--format", "jsonl")
        result = scene.run("query", "--tenant", scene.tenant, *words)
        found += [json.loads(line)["seq"] for line in result.stdout.splitlines()]
        if "there are more" not in result.stderr:
            break
        after = int(result.stderr.rpartition(" ")[2])

    assert list(range(1 + REQUESTS * len(STEPS))) == found
    assert found == [each["seq"] for each in scene.lines("--all")]


def test_a_table_for_a_spreadsheet(scene: Scene) -> None:
    command = ("query", "--tenant", scene.tenant, "--format", "csv", "--all")

    rows = list(csv.DictReader(StringIO(scene.run(*command).stdout)))

    assert 1 + REQUESTS * len(STEPS) == len(rows)
    assert request_id("r0") == rows[1]["request_id"]


def test_a_table_for_a_person(scene: Scene) -> None:
    words = ("--request", request_id("r3"))

    result = scene.run("query", "--tenant", scene.tenant, *words)

    assert 0 == result.exit_code
    assert "request.completed" in result.output


def test_nobody_else_s_records_are_found(scene: Scene) -> None:
    words = ("--tenant", TENANT, "--format", "jsonl")

    assert not scene.run("query", *words).stdout


def test_each_record_of_a_request_is_proved(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"

    result = scene.run("proof", request_id("r5"), str(out))

    assert 0 == result.exit_code, result.output
    assert [f"{seq}.tlog-proof" for seq in (16, 17, 18)] == sorted(
        each.name for each in out.glob("*.tlog-proof")
    )
    for seq in (16, 17, 18):
        proof = parse_proof((out / f"{seq}.tlog-proof").read_text())
        keys = public_keys(scene.signer).named(parse_note(proof.note).origin)
        body = (out / f"{seq}.json").read_bytes()
        assert 121 == verify_proof(proof, body, keys).size
        assert seq == record(body).seq


def test_what_is_not_signed_yet_has_no_proof(scene: Scene, tmp_path: Path) -> None:
    asyncio.run(late(scene))

    result = scene.run("proof", request_id("late"), str(tmp_path / "out"))

    assert 3 == result.exit_code
    assert "no checkpoint" in result.output


async def late(scene: Scene) -> None:
    async with opened(scene.made) as books:
        event = recorded("late", tenant=scene.tenant, request="late")
        await books.ledger.append([event])


async def rotated(scene: Scene) -> tuple[str, list[tuple[str, ...]]]:
    """The root's next note, and what the root log says of keys."""
    async with opened(scene.made) as books:
        await late(scene)
        await checkpointer(books, scene.signer).round()
        note = await books.logs.latest(scene.tenant)
        rows = await books.logs.find(ROOT, Query(action=KEYS), 0, 9)
    assert note is not None
    said = [record(row.body).decision for row in rows]
    return note, [tuple(each.verdict[:11] for each in keys) for keys in said]


def test_a_key_is_handed_over_with_an_overlap(scene: Scene, tmp_path: Path) -> None:
    result = scene.run("rotate-key", "--overlap-days", "7")
    note, said = asyncio.run(rotated(scene))

    assert 0 == result.exit_code, result.output
    keys = public_keys(scene.signer)
    old, new = keys.named(parse_note(note).origin)
    assert (old, new) == open_note(note, [old, new]).signed_by
    assert (old,) == open_note(note, [old]).signed_by
    ends, later = keys.keys
    assert later.not_after is None
    assert ends.not_after is not None
    assert timedelta(days=7) == ends.not_after - later.not_before
    assert f", until {ends.not_after.isoformat()}\n" in result.output
    # The change is a record of the root log, once.
    assert [("signs",), ("signs_until", "signs")] == said

    scene.run("export", str(tmp_path / "out"))
    assert 0 == scene.run("verify").exit_code
    assert 0 == scene.run("verify", "--export", str(tmp_path / "out")).exit_code
    (place,) = (p.parent for p in (tmp_path / "out").glob("*/root"))
    assert (old, new) == read_keys(place / "vkeys.json")


def test_a_rotation_without_a_key_is_refused(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    result = scene.run("rotate-key", "--signer", str(tmp_path / "empty"))

    assert 2 == result.exit_code
