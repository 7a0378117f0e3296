"""Every bypass is refused where it is registered, and again where it is dialled."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from consumers.webhooks import WebhooksConsumer
from infra.system import SystemClock, SystemEntropy
from infra.webhooks.sender import HttpSender
from pipeline.announcements import due
from pipeline.egress import EgressRules, Target, target
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.webhooks import Attempt
from schemas.topics import WEBHOOKS_DUE
from tests.support.audit import NOON, TENANT
from tests.support.bypasses import BYPASSES, INWARD, LITERALS, Bypass
from tests.support.gateway import World
from tests.support.outside import Listener, Names, serving
from tests.support.webhooks import holder, message, real

pytestmark = pytest.mark.integration

PATH = "/v1/webhook_endpoints"
GOOD = Bypass("https://hooks.example.com/in")
REFUSED = ((422, "webhook-target-forbidden"), (422, "invalid-request"))
"""The latter where it is no text for a URL at all: empty, or endless."""
FORBIDDEN = Attempt(status=None, error="target_forbidden")
LOOPBACK = EgressRules(loopback=True)


@dataclass
class Outside:
    """A world whose webhooks leave by real sockets, all of which end at a listener."""

    world: World
    listener: Listener

    async def registered(self, case: Bypass, rules: EgressRules) -> tuple[int, str]:
        """Status and code of the gateway's answer to a new endpoint."""
        async with self._sender(case, rules) as sender:
            gateway = self.world.gateway
            endpoints = replace(gateway.endpoints, sender=sender, rules=rules)
            app = replace(gateway, endpoints=endpoints).app()
            async with httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app),
                base_url="http://sluice.test",
                headers={"authorization": f"Bearer {self.world.key()}"},
            ) as client:
                body = {
                    "name": "a",
                    "url": case.url,
                    "event_types": ["ledger.incident"],
                }
                answer = await client.post(PATH, json=body)
        return answer.status_code, answer.json().get("code", "")

    async def attempted(self, case: Bypass, rules: EgressRules) -> Attempt:
        """How a delivery goes to an endpoint that was registered all the same."""
        async with self._sender(case, rules) as sender:
            rows = self.world.webhooks
            made, kept, _ = await real(TENANT, self.world.secrets, url=case.url)
            assert await rows.create(made, kept, holder(TENANT))
            (first,) = await rows.announce([message(TENANT, made.id)])
            event = due(first, WEBHOOKS_DUE, source="/test", now=NOON, at=NOON).event
            await self._consumer(sender, rules).handle(event)
        return rows.attempts[-1][1]

    async def sent(self, case: Bypass) -> Attempt:
        """How the sender alone takes a URL that no text check saw."""
        async with self._sender(case, EgressRules()) as sender:
            return await sender.send(case.url, {}, b"{}")

    def _sender(self, case: Bypass, rules: EgressRules) -> HttpSender:
        names, here = Names(case.answers), self.listener.open_socket
        return HttpSender(rules, SystemClock(), resolver=names, open_socket=here)

    def _consumer(self, sender: HttpSender, rules: EgressRules) -> WebhooksConsumer:
        return WebhooksConsumer(
            deliveries=self.world.webhooks,
            secrets=EndpointSecrets(self.world.secrets),
            sender=sender,
            rules=rules,
            clock=self.world.clock,
            entropy=SystemEntropy(),
            hold=nullcontext,
        )

    @property
    def reached(self) -> tuple[list[str], int]:
        """Who was set out for, and how many arrived."""
        return self.listener.dialled, self.listener.accepted


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with serving(Listener()) as listener:
        yield Outside(await World(tmp_path).begin(), listener)


def case_id(case: object) -> str:
    assert isinstance(case, Bypass)
    return ascii(f"{case.url[:60]} {' '.join(case.answers)}")


bypasses = pytest.mark.parametrize("case", BYPASSES, ids=case_id)
rules_alike = pytest.mark.parametrize("rules", [EgressRules(), LOOPBACK], ids=repr)


@bypasses
async def test_it_is_refused_where_it_is_registered(
    outside: Outside, case: Bypass
) -> None:
    assert await outside.registered(case, EgressRules()) in REFUSED
    assert ([], 0) == outside.reached


@bypasses
async def test_it_is_refused_where_it_is_dialled(
    outside: Outside, case: Bypass
) -> None:
    seen = await outside.attempted(case, EgressRules())

    assert None is seen.status
    if case.answers:
        assert FORBIDDEN == seen
    assert ([], 0) == outside.reached


@pytest.mark.parametrize("case", [*LITERALS, *INWARD], ids=case_id)
async def test_the_boundary_holds_where_no_text_was_read(
    outside: Outside, case: Bypass
) -> None:
    """The check of the text is a courtesy; addresses are refused without it."""
    await outside.sent(case)

    assert {*outside.listener.dialled} <= {
        "1.1.1.1",
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
    }


@rules_alike
async def test_a_public_name_passes_both(outside: Outside, rules: EgressRules) -> None:
    """Else nothing above would prove anything."""
    status, _ = await outside.registered(GOOD, rules)
    seen = await outside.attempted(GOOD, rules)

    assert (200, "tls") == (status, seen.error)  # the listener has no certificate
    assert (["8.8.8.8"], 1) == outside.reached


@pytest.mark.parametrize(
    "case",
    [each for each in (*LITERALS, *INWARD) if each.url != "https://127.0.0.1/"],
    ids=case_id,
)
async def test_development_admits_the_one_literal_alone(
    outside: Outside, case: Bypass
) -> None:
    assert await outside.registered(case, LOOPBACK) in REFUSED
    assert None is (await outside.attempted(case, LOOPBACK)).status
    assert ([], 0) == outside.reached


async def test_development_reaches_its_literal(outside: Outside) -> None:
    case = Bypass("http://127.0.0.1:9000/in", ())

    assert 200 == (await outside.registered(case, LOOPBACK))[0]
    assert 204 == (await outside.attempted(case, LOOPBACK)).status
    assert (["127.0.0.1"], 1) == outside.reached


@pytest.mark.parametrize(
    "host", ["acme.example", "hooks.acme.example", "a.b.acme.example."]
)
async def test_an_operators_own_names_are_refused_with_all_below(
    outside: Outside, host: str
) -> None:
    rules = EgressRules(denied_hosts=frozenset({"acme.example"}))
    case, other = Bypass(f"https://{host}/"), "https://notacme.example/"

    assert await outside.registered(case, rules) in REFUSED
    assert FORBIDDEN == await outside.attempted(case, rules)
    assert isinstance(target(other, rules), Target)
    assert ([], 0) == outside.reached
