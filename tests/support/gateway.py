"""The gateway and the inbox on twins, with a pipeline that ends requests at once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry
from typing_extensions import override

from consumers.admission import SOURCE, AdmissionConsumer
from infra.admissions import GroupedAdmissions
from infra.health import health_routes
from infra.inbox import FileInboxKeys
from infra.log import Log
from infra.memory.keystore import MemoryKeys
from infra.memory.ledger import MemoryLedger
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from infra.memory.replies import MemoryReplies
from infra.memory.requests import MemoryProviderCalls, MemoryRequests
from infra.memory.secrets import MemorySecrets, MemorySubjects
from infra.memory.tenants import MemoryCredentials, MemoryTenants
from infra.memory.webhooks import MemoryWebhooks
from infra.metrics import Metrics
from infra.signer.receipts import RECEIPTS, published
from infra.system import SystemEntropy
from infra.tokens import Tokens
from pipeline.acceptance import Acceptance
from pipeline.admission import MANAGE, READ, SEND
from pipeline.contents import Contents
from pipeline.credentials import ApiKey, make
from pipeline.egress import EgressRules
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.errors import RetryableError
from pipeline.keystore import KeyId
from pipeline.ports.bus import Record
from pipeline.ports.keys import Destroyed, KeyRef
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Environment, Principal
from pipeline.retention import ahead
from pipeline.sealing import DataKey, Purpose
from pipeline.trail import ended
from producers.auth import Attempts, Door
from producers.evidence import evidence, own_logs
from producers.gateway.answering import Answering
from producers.gateway.app import Gateway
from producers.gateway.asking import Asking
from producers.gateway.chat import Chat
from producers.gateway.endings import Endings
from producers.gateway.endpoints import WebhookEndpoints
from producers.gateway.oauth import OAuth
from producers.gateway.places import Places
from producers.gateway.requests import Story
from producers.gateway.responses import Responses
from producers.gateway.taken import Transients
from schemas.events import Event
from schemas.ids import Actor, RequestId, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import (
    Outcome,
    RequestAccepted,
    RequestFinished,
    Route,
)
from schemas.topics import (
    REPLIES,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    TOPICS,
    Outgoing,
)
from tests.support.audit import NOON, OTHER, TENANT
from tests.support.webhooks import HeldSender

ENTROPY = SystemEntropy()
CONTENTS = Contents(ENTROPY)
PARTITION = 3
SOURCE_OF_GATEWAY = "/sluice/gateway"
CLIENT = "client-1"
CLIENT_SECRET = "s+e c/r%t"
ANSWER = b'{"id":"chatcmpl-1","choices":[{"message":{"content":"Danube"}}]}'
BODY: Mapping[str, Any] = {
    "model": "echo",
    "messages": [{"role": "user", "content": "Which river flows through Vienna?"}],
}
ROUTES = {"echo": Route(provider="stand-in", model="echo-1")}


class HeldClock(Clock):
    """Stands, until a test moves it.

    Attributes:
        slow: seconds that every look at computed time finds gone.
    """

    def __init__(self) -> None:
        self.elapsed = timedelta()
        self.computed = 0.0
        self.slow = 0.0

    @override
    def now(self) -> Any:
        return NOON + self.elapsed

    @override
    def monotonic(self) -> float:
        return self.elapsed.total_seconds()

    @override
    def cpu(self) -> float:
        self.computed += self.slow
        return self.computed

    @override
    async def sleep(self, seconds: float) -> None:
        self.elapsed += timedelta(seconds=seconds)


Ending = Callable[[RequestAccepted, DataKey], RequestFinished | None]


def completed(data: RequestAccepted, key: DataKey) -> RequestFinished:
    """The end of a request that went well."""
    return RequestFinished(
        terms=data.terms,
        outcome=Outcome.COMPLETED,
        answer=CONTENTS.seal(key, Purpose.COMPLETION, ANSWER),
        decisions=(),
        guards_ran=data.terms.guards_required,
    )


def not_completed(outcome: Outcome, reason: str | None = None) -> Ending:
    """Ends that have no answer."""

    def end(data: RequestAccepted, _: DataKey) -> RequestFinished:
        return RequestFinished(
            terms=data.terms,
            outcome=outcome,
            reason=reason,
            decisions=(),
            guards_ran=(),
        )

    return end


@dataclass
class Pipeline(MemoryPublisher):
    """Publishes, and ends each accepted request as ``ending`` says.

    Attributes:
        lost: replies do not arrive; only the row knows the end.
        away: Kafka acknowledges nothing.
    """

    log: MemoryLog
    keys: MemoryKeys
    requests: MemoryRequests
    replies: MemoryReplies
    clock: Clock
    ending: Ending = completed
    lost: bool = False
    away: bool = False
    accepted: list[Event[RequestAccepted]] = field(default_factory=list)

    def __post_init__(self) -> None:
        MemoryPublisher.__init__(self, self.log)

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        if self.away:
            raise RetryableError("not acknowledged")
        await MemoryPublisher.publish(self, outgoing)
        for out in outgoing:
            if out.topic is REQUESTS_ACCEPTED:
                self.accepted.append(out.event)
                await self.end(out.event)

    async def end(self, event: Event[RequestAccepted]) -> None:
        """End it as ``ending`` says, if it says so."""
        key = await opened(self.keys, event)
        finished = self.ending(event.data, key)
        if finished is None:
            return
        now = self.clock.now()
        outs = ended(event.attributes, finished, source="/sluice/test", now=now)
        for out in outs:
            if out.topic is REQUESTS_FINISHED:
                await self.requests.finish([out.event])
            if out.topic is REPLIES and not self.lost:
                await MemoryPublisher.publish(self, [out])
        self.replies.hand_out()


async def opened(keys: MemoryKeys, event: Event[RequestAccepted]) -> DataKey:
    """The key that the event names."""
    request = RequestId(event.attributes.subject)
    ref = KeyRef(event.attributes.tenant, request, KeyId(event.data.terms.key_id))
    key = (await keys.fetch([ref]))[ref]
    assert not isinstance(key, Destroyed)
    return key


@dataclass
class World:
    """Two tenants; one may ask for ``echo``, and so may the other."""

    folder: Path
    clock: HeldClock = field(default_factory=HeldClock)
    policy: PolicyDocument = field(
        default_factory=lambda: PolicyDocument(retention_class="7d")
    )

    def __post_init__(self) -> None:
        self.log = MemoryLog(TOPICS, self.clock)
        self.keys = MemoryKeys(self.clock)
        self.requests = MemoryRequests()
        self.webhooks = MemoryWebhooks()
        self.secrets = MemorySecrets(self.keys)
        self.sender = HeldSender()
        self.calls = MemoryProviderCalls(self.clock, self.requests)
        self.replies = MemoryReplies(self.log, PARTITION)
        self.pipeline = Pipeline(
            log=self.log,
            keys=self.keys,
            requests=self.requests,
            replies=self.replies,
            clock=self.clock,
        )
        self.tenants = MemoryTenants()
        self.credentials = MemoryCredentials()
        self.ledger = MemoryLedger("sluice.test", ENTROPY)
        self.registry = CollectorRegistry()
        self.not_ready: list[str] = []
        self.places = Places(1_000)
        self.alive = True

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens.load(self.folder, issuer="http://sluice.test", entropy=ENTROPY)

    @cached_property
    def inbox(self) -> FileInboxKeys:
        return FileInboxKeys.at(
            self.folder / "own",
            self.folder / "root.key",
            period=timedelta(hours=1),
            clock=self.clock,
            entropy=ENTROPY,
        )

    @cached_property
    def door(self) -> Door:
        return Door(
            credentials=self.credentials,
            tokens=self.tokens,
            clock=self.clock,
            attempts=Attempts(self.clock),
        )

    async def begin(self) -> "World":
        """Keys for both tenants, and this day's partitions."""
        await self.keys.prepare(ahead(self.clock.now()))
        for tenant in (TENANT, OTHER):
            await self.keys.enrol(tenant)
            self.tenants.put(tenant, "live", ROUTES, self.policy)
            self.tenants.put(tenant, "test", ROUTES, self.policy)
        principal = self.principal(f"client:{CLIENT}")
        self.credentials.put_client(CLIENT, CLIENT_SECRET, principal)
        return self

    def principal(
        self,
        actor: str = "key:1",
        *,
        tenant: TenantId = TENANT,
        environment: Environment = "live",
        capabilities: Sequence[str] = (SEND, READ, MANAGE),
        routes: Sequence[str] | None = None,
    ) -> Principal:
        return Principal(
            tenant_id=tenant,
            actor=Actor(actor),
            environment=environment,
            capabilities=frozenset(capabilities),
            routes=None if routes is None else frozenset(routes),
            authenticated_at=NOON,
            methods=("test",),
        )

    def key(self, **principal: Any) -> str:
        """A new API key of this principal."""
        found = self.principal(**principal)
        made: ApiKey = make(found.environment, ENTROPY.bytes(64))
        self.credentials.put_key(made.text, found)
        return made.text

    def acceptance(self, source: str, partition: int | None) -> Acceptance:
        return Acceptance(
            admissions=GroupedAdmissions(self.keys, self.requests, self.clock),
            requests=self.requests,
            keystore=self.keys,
            subjects=MemorySubjects(self.keys),
            contents=CONTENTS,
            clock=self.clock,
            source=source,
            reply_partition=partition,
        )

    def admission(self) -> AdmissionConsumer:
        return AdmissionConsumer(
            tokens=self.tokens,
            credentials=self.credentials,
            letters=self.inbox,
            tenants=self.tenants,
            acceptance=self.acceptance(SOURCE, None),
            clock=self.clock,
            entropy=ENTROPY,
        )

    @cached_property
    def gateway(self) -> Gateway:
        endings = Endings(
            publisher=self.pipeline,
            replies=self.replies,
            requests=self.requests,
            clock=self.clock,
            look_s=0.01,
        )
        metrics = Metrics(self.registry)
        asking = Asking(
            door=self.door, tenants=self.tenants, entropy=ENTROPY, metrics=metrics
        )
        answering = Answering(
            asking=asking,
            acceptance=self.acceptance(SOURCE_OF_GATEWAY, PARTITION),
            endings=endings,
            contents=CONTENTS,
            transients=Transients(self.keys),
            clock=self.clock,
            metrics=metrics,
            places=self.places,
        )
        responses = Responses(
            door=self.door,
            asking=asking,
            answering=answering,
            acceptance=self.acceptance(SOURCE_OF_GATEWAY, None),
            publisher=self.pipeline,
            requests=self.requests,
            calls=self.calls,
            keystore=self.keys,
            contents=CONTENTS,
            clock=self.clock,
            entropy=ENTROPY,
        )
        story = Story(
            door=self.door,
            requests=self.requests,
            keystore=self.keys,
            contents=CONTENTS,
            logs=self.ledger,
        )
        oauth = OAuth(
            door=self.door,
            credentials=self.credentials,
            issuer=self.tokens,
            letters=self.inbox,
            keys_age_s=3600,
            receipts=partial(published, self.folder / RECEIPTS),
            clock=self.clock,
        )
        return Gateway(
            chat=Chat(asking=asking, answering=answering),
            responses=responses,
            story=story,
            endpoints=WebhookEndpoints(
                door=self.door,
                endpoints=self.webhooks,
                secrets=EndpointSecrets(self.secrets),
                sender=self.sender,
                rules=EgressRules(),
                clock=self.clock,
                entropy=ENTROPY,
            ),
            oauth=oauth,
            health=health_routes(
                lambda: self.alive, lambda: self.not_ready, self.registry
            ),
            evidence=evidence(self.ledger, own_logs(self.door)),
            entropy=ENTROPY,
            log=Log("gateway"),
        )

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """An HTTP client of the gateway; unhandled errors become responses."""
        transport = httpx2.ASGITransport(self.gateway.app(), raise_app_exceptions=False)
        return httpx2.AsyncClient(
            transport=transport, base_url="http://sluice.test", headers=headers
        )

    def record(
        self, value: bytes | None, headers: Mapping[str, bytes | None], **kwargs: Any
    ) -> Record:
        """A record of the inbox, appended now by the broker's clock."""
        return Record(
            **{
                "topic": REQUESTS_INBOX.name,
                "partition": 0,
                "offset": 7,
                "key": None,
                "value": value,
                "headers": tuple(headers.items()),
                "timestamp_ms": int(self.clock.now().timestamp() * 1000),
                "appended": True,
                **kwargs,
            }
        )


def dumped(**changes: Any) -> bytes:
    """A chat body with changes."""
    return json.dumps({**BODY, **changes}).encode()
