"""Poison through the whole house: a dead letter, an audit record, and the one end."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from demo.launch import Access, Sluice
from infra.system import SystemClock
from pipeline.ports.bus import Record
from schemas.audit import TERMINAL
from schemas.policies import PolicyDocument
from schemas.topics import MAX_RECORD_BYTES, REQUESTS_ACCEPTED
from tests.support.desk import desk, onboarded
from tests.support.evidence import ended
from tests.support.kafka import everything
from tests.support.kafka import until as soon

pytestmark = [pytest.mark.e2e, pytest.mark.long]

DEADLINE_S = 25
WITHIN_S = 120.0
POISON = 6
"""Kinds whose headers still tell tenant and request."""
NAMELESS = 2
"""Kinds that do not even tell whose they were: the deadline ends that request."""
FETCH_ENDS_S = 1.0
"""Longer than a fetch waits at the broker for a first record: 500 ms."""
FINE = 3


def bent(value: bytes) -> bytes:
    """The same record, with one character of its sealed content changed."""
    found: dict[str, Any] = orjson.loads(value)
    sealed = found["content"]["sealed"]
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    found["content"]["sealed"] = sealed[:middle] + other + sealed[middle + 1 :]
    return orjson.dumps(found)


def without_id(record: Record, *more: tuple[str, bytes | None]) -> Record:
    others = (pair for pair in record.headers if pair[0] != "ce_id")
    return replace(record, headers=(*others, *more))


SPOILT: Mapping[str, Callable[[Record], Record]] = {
    "bad_json": lambda r: replace(r, value=b"{" + (r.value or b"")),
    "wrong_schema": lambda r: replace(r, value=b'{"terms": 1}'),
    "broken_seal": lambda r: replace(r, value=bent(r.value or b"")),
    "null_header": lambda r: without_id(r, ("ce_id", None)),
    "odd_header": lambda r: without_id(r, ("ce_id", b"\xff\xfe")),
    "full_size": lambda r: replace(r, value=b"x" * (MAX_RECORD_BYTES - 2_048)),
    "no_headers": lambda r: replace(r, headers=()),
    "nothing_at_all": lambda r: replace(r, headers=(), key=None, value=None),
    "fine": lambda r: r,
}


async def ask(access: Access, number: int) -> int:
    body = {"model": "echo", "messages": [{"role": "user", "content": f"no. {number}"}]}
    headers = {"authorization": f"Bearer {access.api_key}"}
    limit = aiohttp.ClientTimeout(total=WITHIN_S)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.post(
            access.gateway + "/v1/chat/completions", json=body, headers=headers
        ) as answer,
    ):
        await answer.read()
        return answer.status


async def impatient(sluice: Sluice) -> Access:
    """A tenant whose requests end soon, whatever becomes of them."""
    async with desk(sluice).admin() as admin:
        policy = PolicyDocument(deadline_s=DEADLINE_S)
        return await onboarded(sluice, admin, "Poisoned", ("echo",), policy)


async def accepted(access: Access) -> list[Record]:
    tenant = access.tenant_id.encode()
    found = await everything(access.kafka, REQUESTS_ACCEPTED.name)
    return [
        record for record in found if dict(record.headers).get("ce_tenant") == tenant
    ]


async def taken_away(access: Access, records: Sequence[Record]) -> None:
    """Nobody will read these, nor what lies before them."""
    ends = {record.partition: record.offset + 1 for record in records}
    admin = AIOKafkaAdminClient(bootstrap_servers=access.kafka)
    await admin.start()
    await admin.delete_records(
        {
            TopicPartition(REQUESTS_ACCEPTED.name, partition): RecordsToDelete(end)
            for partition, end in ends.items()
        }
    )
    await admin.close()


async def put(access: Access, records: Sequence[Record]) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=access.kafka, max_request_size=MAX_RECORD_BYTES * 2
    ) as producer:
        for record in records:
            batch = producer.create_batch()
            headers = [*record.headers]
            batch.append(
                key=record.key, value=record.value, timestamp=None, headers=headers
            )
            sent = await producer.send_batch(
                batch, record.topic, partition=record.partition
            )
            await sent


@pytest.mark.timeout(600)
async def test_each_kind_costs_a_letter_a_record_and_its_request_and_nothing_else(
    sluice: tuple[Sluice, Access], tmp_path: Path
) -> None:
    """The workers stand still while the records that they will read are exchanged."""
    made, _ = sluice
    access = await impatient(made)
    kinds = [*SPOILT, *["fine"] * (FINE - 1)]
    pid = made.processes["workers"].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # A fetch that waits at the broker would bring the first record as it was.
        await SystemClock().sleep(FETCH_ENDS_S)
        asking = [asyncio.create_task(ask(access, at)) for at in range(len(kinds))]
        await soon(lambda: _holds(access, len(kinds)))
        genuine = await accepted(access)
        await taken_away(access, genuine)
        pairs = zip(genuine, kinds, strict=True)
        changed = [SPOILT[kind](record) for record, kind in pairs]
        await put(access, changed)
    finally:
        os.kill(pid, signal.SIGCONT)
    statuses = await asyncio.gather(*asking)
    names = [_request(record) for record in genuine]
    records = await asyncio.to_thread(ended, made, access.tenant_id, names, tmp_path)
    buried = [r for r in records if r["action"] == "record.buried"]
    ends = Counter(r["request_id"] for r in records if r["action"] in TERMINAL)
    letters = await everything(access.kafka, f"{REQUESTS_ACCEPTED.name}.dead")
    poison = changed[: POISON + NAMELESS]
    ours = Counter((r.partition, r.key, r.value or b"") for r in poison)
    dead = Counter((r.partition, r.key, r.value or b"") for r in letters)
    assert {200: FINE, 500: POISON, 504: NAMELESS} == Counter(statuses)
    assert dict.fromkeys(names, 1) == {name: ends[name] for name in names}
    assert ours == ours & dead
    assert sorted(sha256(r.value or b"").hexdigest() for r in changed[:POISON]) == (
        sorted(r["decision"][0]["rule"].removeprefix("sha256:") for r in buried)
    )
    assert set(names[:POISON]) == {r["request_id"] for r in buried}


async def _holds(access: Access, count: int) -> bool:
    return len(await accepted(access)) == count


def _request(record: Record) -> str:
    return (dict(record.headers)["ce_subject"] or b"").decode()
