"""What the ledger finds wrong is an alarm, and subscribers are told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.audit import AuditConsumer
from infra.memory.ledger import MemoryLedger
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import RetryableError
from producers.incidents import Incidents
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import WEBHOOKS_DUE
from schemas.webhooks import Kind
from tests.component.test_stages import record
from tests.support.audit import TENANT, recorded
from tests.support.gateway import HeldClock
from tests.support.webhooks import bare, holder


def consumer(rows: MemoryWebhooks, alarms: list[int]) -> AuditConsumer:
    return AuditConsumer(
        ledger=MemoryLedger("sluice.test", SystemEntropy()),
        deliveries=rows,
        clock=SystemClock(),
        alarm=alarms.append,
    )


def ends(*names: str) -> list[Event[AuditRecorded]]:
    return [recorded(name, "request.completed", request="one") for name in names]


async def test_a_second_end_is_an_alarm_and_is_told() -> None:
    rows, alarms = MemoryWebhooks(), list[int]()
    endpoint, secret = bare(TENANT, Kind.LEDGER_INCIDENT)
    await rows.create(endpoint, secret, holder(TENANT))
    first, second = ends("first", "second")

    (told,) = await consumer(rows, alarms).handle(
        [(record(0), first), (record(1), second)]
    )

    claimed = await rows.claim(
        next(iter(await rows.sweep(SystemClock().now().replace(year=2100), 9))),
        SystemClock().now(),
        SystemClock().now() - SystemClock().now(),
    )
    assert [1] == alarms
    assert (WEBHOOKS_DUE, endpoint.id) == (told.topic, told.event.attributes.subject)
    assert claimed is not None
    assert {"id": second.attributes.id} == json.loads(claimed.body)["data"]


async def test_an_append_without_incident_tells_nobody() -> None:
    rows, alarms = MemoryWebhooks(), list[int]()
    endpoint, secret = bare(TENANT, Kind.LEDGER_INCIDENT)
    await rows.create(endpoint, secret, holder(TENANT))

    told = await consumer(rows, alarms).handle(
        [(record(0), each) for each in ends("only")]
    )

    assert ([], []) == (list(told), alarms)


async def test_what_was_appended_is_not_asked_for_again() -> None:
    """Of each partition that is asked for, the place behind the last record."""
    it = consumer(MemoryWebhooks(), [])
    first, second, third = ends("first", "second", "third")
    there = [replace(record(4), partition=1), replace(record(5), partition=1)]
    await it.handle([(there[0], first), (there[1], second)])
    before = await it.offsets([0, 1])
    await it.handle([(record(7), third)])

    assert {1: 6} == before
    assert ({0: 8, 1: 6}, {1: 6}) == (
        await it.offsets([0, 1, 2]),
        await it.offsets([1]),
    )


async def test_an_incident_that_could_not_be_told_at_once_is_told_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was appended is a repeat when it comes again, and an incident no more."""
    rows, clock = MemoryWebhooks(), HeldClock()
    endpoint, secret = bare(TENANT, Kind.LEDGER_INCIDENT)
    await rows.create(endpoint, secret, holder(TENANT))
    it = replace(consumer(rows, []), clock=clock)
    batch = [(record(at), each) for at, each in enumerate(ends("first", "second"))]
    with monkeypatch.context() as away:

        async def refused(*_: object) -> Sequence[Any]:
            raise RetryableError("expected an answer")

        away.setattr(MemoryWebhooks, "announce", refused)
        with pytest.raises(RetryableError):
            await it.handle(batch)
    await it.handle(batch)
    logs: Any = it.ledger
    for _ in range(2):
        await Incidents(logs=logs, deliveries=rows, clock=clock).round()

    due = await rows.sweep(clock.now() + timedelta(minutes=2), 9)
    assert [endpoint.id] == [each.endpoint_id for each in due]
