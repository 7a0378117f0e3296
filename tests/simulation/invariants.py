"""What must hold when it is quiet again."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.audit import ROOT, empty
from pipeline.verification import Verified, verify
from schemas.audit import TERMINAL
from schemas.topics import REQUESTS_INBOX, TOPICS
from tests.simulation.clients import CANARY, EMAIL, Caller

if TYPE_CHECKING:
    from tests.simulation.world import World


def wrongs(world: "World", callers: list[Caller]) -> Iterator[str]:
    """Every promise that was broken, in words."""
    yield from world.loop.unhandled
    yield from _ends(world)
    yield from _chains(world)
    yield from _answers(callers)
    yield from _clear(world)


def _ends(world: "World") -> Iterator[str]:
    """Every accepted request has one terminal record, and its row has the end."""
    for tenant, request in world.watch.accepted:
        entries = world.now(world.ledger.by_request(tenant, request))
        ends = [entry.action for entry in entries if entry.action in TERMINAL]
        if len(ends) != 1:
            yield f"{request} has the ends {ends}"
        state = world.now(world.requests.get(tenant, request))
        if state is None or state.finished is None:
            yield f"{request} is open in its row"


def _chains(world: "World") -> Iterator[str]:
    """Every log verifies, and has no incident."""
    for tenant in world.now(world.ledger.tenants()):
        head = world.now(world.ledger.head(tenant))
        entries = world.now(world.ledger.read(tenant, 0, 100_000))
        found = verify(empty(head.origin), entries, head.last)
        if not isinstance(found, Verified) or found.head != head:
            yield f"the log of {tenant} does not verify: {found}"
        if tenant != ROOT:
            incidents = [e.action for e in entries if e.action.startswith("incident")]
            if incidents:
                yield f"the log of {tenant} has {incidents}"


def _answers(callers: list[Caller]) -> Iterator[str]:
    """Who got an answer got their own, and always the same."""
    for caller in callers:
        known = [a for a in caller.answers if a.status == 200]
        for answer in known:
            if f"number-{caller.number}-".encode() not in answer.body:
                yield f"caller {caller.number} got another's answer"
        if len({answer.body for answer in known}) > 1:
            yield f"caller {caller.number} got two answers"
        if any(b'"unexpected"' in answer.body for answer in caller.answers):
            yield f"caller {caller.number} met an unexpected error"


def _clear(world: "World") -> Iterator[str]:
    """No content in the clear: in topics, dead letters, lines and tables."""
    for place, text in _written(world):
        for word in (CANARY.encode(), EMAIL.encode()):
            if word in text:
                yield f"content in the clear in {place}"


def _written(world: "World") -> Iterator[tuple[str, bytes]]:
    for topic in TOPICS:
        names = [topic.name] if topic is not REQUESTS_INBOX else []
        for name in [*names, *filter(None, [topic.dead])]:
            for record in world.log.records(name):
                headers = b" ".join(value or b"" for _, value in record.headers)
                yield name, (record.key or b"") + (record.value or b"") + headers
    yield "lines", "\n".join(world.lines).encode()
    for row in world.requests._rows.values():
        yield "requests", row.terms.model_dump_json().encode()
        if row.finished is not None:
            yield "requests", row.finished.model_dump_json().encode()
    for call in world.calls._calls.values():
        yield "calls", call.result or b""
    for tenant in world.now(world.ledger.tenants()):
        for entry in world.now(world.ledger.read(tenant, 0, 100_000)):
            yield "ledger", entry.body
