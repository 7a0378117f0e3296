"""Names that move, point inward or stall, asked of a real name server over UDP."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import dns.rcode
import pytest
from aiohttp import web

from consumers.webhooks import WebhooksConsumer
from infra.memory.keystore import MemoryKeys
from infra.memory.secrets import MemorySecrets
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemClock, SystemEntropy
from infra.webhooks import guard
from infra.webhooks.guard import names
from infra.webhooks.sender import HttpSender
from pipeline.announcements import due
from pipeline.egress import EgressRules
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.ports.webhooks import Change, Due
from pipeline.webhooks import Attempt
from pipeline.wrapping import SecretPurpose, SecretRef
from schemas.topics import WEBHOOKS_DUE
from tests.support.audit import NOON, TENANT
from tests.support.gateway import HeldClock
from tests.support.names import SILENCE, NameServer, Said, a, aaaa, cname, naming
from tests.support.outside import Listener, serving
from tests.support.webhooks import holder, message, real

pytestmark = pytest.mark.integration

HOST = "hooks.example.com"
URL = f"http://{HOST}/in"
RULES = EgressRules(http=True, ports=frozenset({80, 443}))
"""``http``, so that a delivery that goes out arrives; addresses are judged alike."""
Zone = Mapping[str, Mapping[str, Sequence[Said]]]
HOSTS = Path("/etc/hosts").read_text().splitlines()
FORBIDDEN = Attempt(status=None, error="target_forbidden")
NOWHERE = Attempt(status=None, error="connection")


class Outside(AsyncExitStack):
    """A name server, a listener that every dial ends at, and a sender of ours."""

    def __init__(self, zone: Zone) -> None:
        super().__init__()
        self._zone = zone

    async def begin(self) -> "Outside":
        self.server: NameServer = await self.enter_async_context(naming(self._zone))
        self.listener = await self.enter_async_context(serving(Listener()))
        self.sender = await self.enter_async_context(
            HttpSender(
                RULES,
                SystemClock(),
                resolver=names([self.server.address]),
                open_socket=self.listener.open_socket,
            )
        )
        return self

    async def send(self) -> Attempt:
        return await self.sender.send(URL, {}, b"{}")


async def outside(stack: AsyncExitStack, zone: Zone) -> Outside:
    return await (await stack.enter_async_context(Outside(zone))).begin()


async def test_a_public_name_is_dialled_by_its_own_numbers() -> None:
    zone = {HOST: {"A": [a("8.8.8.8")], "AAAA": [aaaa()]}}
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        reached, seen = await found.sender.reaches(HOST, 443), await found.send()

    assert (True, Attempt(status=204)) == (reached, seen)
    assert (["8.8.8.8"], 1) == (found.listener.dialled, found.listener.accepted)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ({HOST: {"A": [a("127.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"A": [a("169.254.169.254")]}}, FORBIDDEN),
        ({HOST: {"AAAA": [aaaa("::1")]}}, FORBIDDEN),
        ({HOST: {"AAAA": [aaaa("fd00:ec2::254")]}}, FORBIDDEN),
        ({HOST: {"AAAA": [aaaa("::ffff:10.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"AAAA": [aaaa("64:ff9b::a9fe:a9fe")]}}, FORBIDDEN),
        ({HOST: {"A": [a("8.8.8.8", "10.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"A": [a("10.0.0.1", "8.8.8.8")]}}, FORBIDDEN),
        ({HOST: {"A": [a("8.8.8.8")], "AAAA": [aaaa("::1")]}}, FORBIDDEN),
        ({HOST: {"A": [a("10.0.0.1")], "AAAA": [aaaa("2606:4700::1111")]}}, FORBIDDEN),
        ({HOST: {"A": [cname("redis.internal", "10.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"A": [cname("localhost", "127.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"A": [cname("a.example.net", "8.8.8.8", "10.0.0.1")]}}, FORBIDDEN),
        ({HOST: {"A": [Said()], "AAAA": [Said()]}}, NOWHERE),
        ({}, NOWHERE),
        ({HOST: {"ANY": [Said(code=dns.rcode.SERVFAIL)]}}, NOWHERE),
        ({HOST: {"ANY": [Said(code=dns.rcode.REFUSED)]}}, NOWHERE),
    ],
)  # fmt: skip
async def test_what_leads_inside_or_nowhere_is_not_dialled(
    zone: Zone, expected: Attempt
) -> None:
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        reached, seen = await found.sender.reaches(HOST, 443), await found.send()

    assert (False, expected) == (reached, seen)
    assert ([], 0) == (found.listener.dialled, found.listener.accepted)
    assert (HOST, "A") in found.server.asked


async def test_a_name_that_moves_between_check_and_attempt_is_refused() -> None:
    """Rebinding: public when it is registered, inside when it is dialled; TTL 0."""
    zone = {HOST: {"A": [a("8.8.8.8"), a("127.0.0.1")], "AAAA": [aaaa()]}}
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        reached, seen = await found.sender.reaches(HOST, 443), await found.send()

    assert (True, FORBIDDEN) == (reached, seen)
    assert ([], 0) == (found.listener.dialled, found.listener.accepted)


async def test_what_was_checked_is_what_is_dialled() -> None:
    """A name that flips with every question is asked once an attempt, never between."""
    flips = [a("8.8.8.8"), a("10.0.0.1"), a("8.8.4.4"), a("10.0.0.2")]
    async with AsyncExitStack() as stack:
        found = await outside(stack, {HOST: {"A": flips, "AAAA": [aaaa()]}})
        seen = [await found.send() for _ in flips]

    assert [204, None, 204, None] == [each.status for each in seen]
    assert ["8.8.8.8", "8.8.4.4"] == found.listener.dialled
    assert len(flips) == found.server.asked.count((HOST, "A"))


async def test_an_order_that_changes_hides_no_inside_address() -> None:
    flips = [a("8.8.8.8", "10.0.0.1"), a("10.0.0.1", "8.8.8.8")]
    async with AsyncExitStack() as stack:
        found = await outside(stack, {HOST: {"A": flips}})
        seen = [await found.send() for _ in flips]

    assert [FORBIDDEN] * 2 == seen
    assert [] == found.listener.dialled


async def test_a_search_domain_is_not_asked() -> None:
    zone = {"kafka": {"A": [a("8.8.8.8", at="kafka")]}}
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        await found.sender.reaches("kafka.prod", 443)

    assert {"kafka.prod"} == {name for name, _ in found.server.asked}


async def test_the_hosts_file_is_not_asked() -> None:
    """Names of this machine and of its neighbours are no public hosts."""
    own = [line.split()[1] for line in HOSTS if line[:1].isdigit()]
    async with AsyncExitStack() as stack:
        found = await outside(stack, {})
        reached = [await found.sender.reaches(each, 443) for each in own]

    assert [False] * len(own) == reached


async def test_a_server_that_says_nothing_costs_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "RESOLVE_S", 0.3)
    async with AsyncExitStack() as stack:
        found = await outside(stack, {HOST: {"ANY": [Said(code=SILENCE)]}})
        began = time.monotonic()
        reached, seen = await found.sender.reaches(HOST, 443), await found.send()
        took = time.monotonic() - began

    assert (False, "timeout") == (reached, seen.error)
    assert took < 3


async def test_a_hundred_that_stall_hold_up_nobodys_name() -> None:
    """A tenant whose name server says nothing costs no other tenant a second."""
    zone = {
        HOST: {"A": [a("8.8.8.8")], "AAAA": [aaaa()]},
        **{f"n{n}.slow.example": {"ANY": [Said(code=SILENCE)]} for n in range(100)},
    }
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        stalled = [
            asyncio.create_task(found.sender.reaches(f"n{n}.slow.example", 443))
            for n in range(100)
        ]
        while len({name for name, _ in found.server.asked}) < len(stalled):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # noqa: TID251 - until all have been asked
        began = time.monotonic()
        seen = await found.send()
        took, waiting = time.monotonic() - began, [not t.done() for t in stalled]
        answers = await asyncio.gather(*stalled)

    assert (204, True) == (seen.status, took < 1)
    assert all(waiting)
    assert [False] * len(stalled) == answers


class Endpoint:
    """An endpoint of a tenant whose deliveries leave by :class:`Outside`."""

    def __init__(self, found: Outside) -> None:
        self.clock, self.rows = HeldClock(), MemoryWebhooks()
        self.keys = MemoryKeys(self.clock)
        self.secrets = MemorySecrets(self.keys)
        self.consumer = WebhooksConsumer(
            deliveries=self.rows,
            secrets=EndpointSecrets(self.secrets),
            sender=found.sender,
            rules=RULES,
            clock=self.clock,
            entropy=SystemEntropy(),
            hold=nullcontext,
        )

    async def begin(self) -> "Endpoint":
        await self.keys.enrol(TENANT)
        self.made, kept, _ = await real(TENANT, self.secrets, url=URL)
        assert await self.rows.create(self.made, kept, holder(TENANT))
        return self

    async def moved(self, url: str) -> None:
        """Its URL becomes another, as if no check stood before it."""
        ref = SecretRef(TENANT, SecretPurpose.WEBHOOK_URL, self.made.id)
        change = Change(url_sealed=await self.secrets.seal(ref, url.encode()))
        await self.rows.update(self.made.id, change, NOON, holder(TENANT))

    async def told(self, cause: str) -> Due:
        (found,) = await self.rows.announce([message(TENANT, cause)])
        return found

    async def attempt(self, each: Due) -> Attempt:
        event = due(each, WEBHOOKS_DUE, source="/test", now=NOON, at=NOON).event
        await self.consumer.handle(event)
        return self.rows.attempts[-1][1]


async def _unavailable(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def _gone(_: web.Request) -> web.StreamResponse:
    return web.Response(status=410)


async def test_a_retry_meets_the_address_of_its_own_time() -> None:
    zone = {HOST: {"A": [a("8.8.8.8"), a("10.0.0.1")], "AAAA": [aaaa()]}}
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        found.listener.answer = _unavailable
        endpoint = await Endpoint(found).begin()
        first = await endpoint.told("one")
        seen = [
            await endpoint.attempt(first),
            await endpoint.attempt(replace(first, attempt=2)),
        ]

    assert [Attempt(status=503), FORBIDDEN] == seen
    assert 1 == found.listener.accepted


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://inside.example.com/"])
async def test_a_url_that_was_edited_is_judged_as_it_is_now(url: str) -> None:
    zone = {
        HOST: {"A": [a("8.8.8.8")], "AAAA": [aaaa()]},
        "inside.example.com": {"A": [a("10.0.0.1", at="inside.example.com")]},
    }
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        endpoint = await Endpoint(found).begin()
        waiting = await endpoint.told("one")
        await endpoint.moved(url)
        seen = await endpoint.attempt(waiting)

    assert FORBIDDEN == seen
    assert ([], 0) == (found.listener.dialled, found.listener.accepted)


async def test_enabling_an_endpoint_again_opens_no_door() -> None:
    """410 disables; a change enables; the name leads inside meanwhile."""
    zone = {HOST: {"A": [a("8.8.8.8"), a("192.168.0.1")], "AAAA": [aaaa()]}}
    async with AsyncExitStack() as stack:
        found = await outside(stack, zone)
        found.listener.answer = _gone
        endpoint = await Endpoint(found).begin()
        gone = await endpoint.attempt(await endpoint.told("one"))
        change = Change(name="again")
        await endpoint.rows.update(endpoint.made.id, change, NOON, holder(TENANT))
        seen = await endpoint.attempt(await endpoint.told("two"))

    assert (410, FORBIDDEN) == (gone.status, seen)
    assert 1 == found.listener.accepted
