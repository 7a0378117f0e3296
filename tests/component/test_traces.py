"""One trace from the HTTP request through every topic to the webhook, on twins."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers import provider, webhooks
from consumers.admission import AdmissionConsumer
from consumers.audit import AuditConsumer
from consumers.delivery import (
    Means,
    Subscription,
    concurrent,
    nothing,
    ordered,
    ordered_batch,
    ordered_raw,
)
from consumers.delivery.concurrent import Concurrent
from consumers.delivery.ordered import Ordered
from consumers.delivery.subscriptions import Lanes
from consumers.delivery.turns import Turns
from consumers.outcomes import OutcomesConsumer
from consumers.provider import ProviderConsumer
from consumers.redaction import RedactionConsumer
from consumers.screening import ScreeningConsumer
from consumers.webhooks import WebhooksConsumer
from infra.memory.log import MemoryPartitions
from infra.memory.publisher import MemoryPublisher
from infra.memory.requests import MemoryProviderCalls
from infra.recipes import load_recipe
from infra.tracing import OtelTracing
from infra.tracing import provider as source_of_spans
from pipeline.egress import EgressRules
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.work import Bench
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    WEBHOOKS_DUE,
)
from tests.component.test_admission import token
from tests.component.test_stages import Upstream
from tests.support.audit import TENANT
from tests.support.delivery import Late, Seen, burial
from tests.support.gateway import CONTENTS, ENTROPY, World, dumped
from tests.support.kafka import until
from tests.support.webhooks import holder, real

CANARY = "zinnia-4410-palimpsest"
TEXT = f"My mail is someone@example.org, say {CANARY}"
RECIPE = load_recipe()
CALLER = f"00-{'ab' * 16}-{'cd' * 8}-01"
STAGES = ("screening", "redaction", "provider", "outcomes", "audit", "webhooks")


class House:
    """The gateway and every group on one log, each hop moved by hand."""

    def __init__(self, world: World, *, ratio: float | None = 1.0) -> None:
        self.world = world
        self.exporter = InMemorySpanExporter()
        self.tracing = None
        if ratio is not None:
            made = source_of_spans("test", ratio, SimpleSpanProcessor(self.exporter))
            self.tracing = OtelTracing(made.get_tracer("sluice"))
        world.pipeline.ending = lambda *_: None  # the real stages end it
        publisher = MemoryPublisher(world.log)
        self.means = Means(
            publisher=publisher,
            clock=world.clock,
            entropy=ENTROPY,
            burial=burial(publisher, world.clock),
            signals=Seen(),
            tracing=self.tracing,
        )
        self.members: list[tuple[MemoryPartitions, Ordered | Concurrent]] = []

    def subscriptions(self) -> Sequence[Subscription]:
        world = self.world
        parts: Mapping[str, Any] = {
            "bench": Bench(keystore=world.keys, tenants=world.tenants),
            "contents": CONTENTS,
            "recipe": RECIPE,
            "clock": world.clock,
        }
        admission: AdmissionConsumer = world.admission()
        screening, redaction = ScreeningConsumer(**parts), RedactionConsumer(**parts)
        calls = ProviderConsumer(
            **parts,
            calls=MemoryProviderCalls(world.clock),
            providers=Upstream(),
            turn=Turns(world.clock).next,
            hold=nullcontext,
        )
        outcomes = OutcomesConsumer(
            requests=world.requests, deliveries=world.webhooks, clock=world.clock
        )
        hooks = WebhooksConsumer(
            deliveries=world.webhooks,
            secrets=EndpointSecrets(world.secrets),
            sender=world.sender,
            rules=EgressRules(),
            clock=world.clock,
            entropy=ENTROPY,
            hold=nullcontext,
        )
        audit = AuditConsumer(
            ledger=world.ledger,
            deliveries=world.webhooks,
            clock=world.clock,
            alarm=lambda _: None,
        )
        return (
            ordered_raw(REQUESTS_INBOX, admission.handle),
            ordered(REQUESTS_ACCEPTED, screening.handle, prepare=screening.prepare),
            ordered(REQUESTS_SCREENED, redaction.handle, prepare=redaction.prepare),
            concurrent(
                REQUESTS_REDACTED,
                calls.handle,
                prepare=calls.prepare,
                lane=provider.lane,
            ),
            ordered_batch(REQUESTS_FINISHED, outcomes.handle),
            ordered_batch(AUDIT_RECORDED, audit.handle),
            concurrent(WEBHOOKS_DUE, hooks.handle, prepare=nothing, lane=webhooks.lane),
        )

    async def open(self) -> "House":
        for subscription in self.subscriptions():
            late = Late()
            topic, group = subscription.topic.name, subscription.group
            partitions = MemoryPartitions(self.world.log, topic, group, late)
            kind = Concurrent if isinstance(subscription.work, Lanes) else Ordered
            late.listener = kind(subscription, partitions, self.means)
            await self.world.log.join(partitions)
            self.members.append((partitions, late.listener))
        return self

    async def run(self) -> None:
        """Poll every group until nothing comes any more."""
        quiet = 0
        while quiet < 5:
            quiet += 1
            for partitions, mode in self.members:
                if records := partitions.poll(500):
                    await mode.batch(records)
                    quiet = 0
            await asyncio.sleep(0.001)  # noqa: TID251 - lets concurrent calls run
            self.world.replies.hand_out()

    async def post(self, **headers: str) -> int:
        """One request, all the way."""
        gateway = self.world.gateway
        self.world.gateway = replace(gateway, tracing=self.tracing)
        body = dumped(messages=[{"role": "user", "content": TEXT}])
        named = {"content-type": "application/json", **headers}
        key = self.world.key()
        async with self.world.client(authorization=f"Bearer {key}") as client:
            asked = asyncio.create_task(
                client.post("/v1/chat/completions", content=body, headers=named)
            )
            await until(lambda: bool(self.world.pipeline.accepted))
            await self.run()
            return (await asked).status_code

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """The first of this name."""
        return next(span for span in self.spans if span.name == name)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = await World(tmp_path).begin()
    endpoint, secret, _ = await real(TENANT, made.secrets)
    await made.webhooks.create(endpoint, secret, holder(TENANT))
    return made


async def test_one_trace_from_the_request_to_the_webhook(world: World) -> None:
    house = await House(world).open()

    status = await house.post()

    assert 200 == status
    assert 1 == len({span.context.trace_id for span in house.spans})
    names = {span.name for span in house.spans}
    assert {"POST /v1/chat/completions", *(f"process {s}" for s in STAGES)} == names
    assert 1 == len(world.sender.sent)


async def test_each_hop_stands_below_the_one_before(world: World) -> None:
    house = await House(world).open()
    await house.post()

    way = ["POST /v1/chat/completions", *(f"process {each}" for each in STAGES[:4])]

    way.append("process webhooks")
    for before, after in pairwise(way):
        parent = house.named(after).parent
        assert parent is not None
        assert house.named(before).context.span_id == parent.span_id


async def test_a_callers_trace_goes_on(world: World) -> None:
    house = await House(world).open()

    await house.post(traceparent=CALLER)

    first = house.named("POST /v1/chat/completions")
    assert int("ab" * 16, 16) == first.context.trace_id
    assert first.parent is not None
    assert int("cd" * 8, 16) == first.parent.span_id
    assert {first.context.trace_id} == {s.context.trace_id for s in house.spans}


async def test_spans_hold_ids_and_words_alone(world: World) -> None:
    house = await House(world).open()
    await house.post(tracestate=CANARY, baggage=CANARY)

    told = "".join(span.to_json() for span in house.spans)

    assert CANARY not in told
    assert "someone@example.org" not in told
    assert all(not span.events for span in house.spans)
    allowed = (str, int)
    values = [v for span in house.spans for v in (span.attributes or {}).values()]
    assert all(isinstance(value, allowed) for value in values)


async def test_the_inbox_begins_a_trace_or_goes_on_in_its_producers(
    world: World,
) -> None:
    house = await House(world).open()
    for name, trace in (("one", CALLER), ("two", "00-what-is-this")):
        world.log.append(
            REQUESTS_INBOX.name,
            key=None,
            value=dumped(),
            headers=(
                ("authorization", f"Bearer {token(world)}".encode()),
                ("ce_id", name.encode()),
                ("traceparent", trace.encode()),
            ),
        )

    await house.run()

    traces = [s.context.trace_id for s in house.spans if s.name == "process provider"]
    assert 2 == len(set(traces))
    assert int("ab" * 16, 16) in traces
    assert {s.context.trace_id for s in house.spans} == set(traces)


async def test_what_fails_says_its_class_and_nothing_else(world: World) -> None:
    house = await House(world).open()
    headers = (("traceparent", CALLER.encode()), ("ce_id", CANARY.encode()))
    world.log.append(
        REQUESTS_ACCEPTED.name, key=b"k", value=CANARY.encode(), headers=headers
    )

    await house.run()

    span = house.named("process screening")
    assert int("ab" * 16, 16) == span.context.trace_id
    assert "InvalidMessage" == span.status.description
    assert CANARY not in span.to_json()


async def test_a_share_is_kept_whatever_the_caller_asks(world: World) -> None:
    house = await House(world, ratio=0.0).open()

    status = await house.post(traceparent=CALLER)

    assert 200 == status
    assert () == house.spans


async def test_off_nothing_changes_on_the_wire(world: World) -> None:
    house = await House(world, ratio=None).open()

    await house.post(traceparent=CALLER)

    carried = {
        dict(record.headers)["traceparent"]
        for record in world.log.records(REQUESTS_FINISHED.name)
    }
    assert {CALLER.encode()} == carried
