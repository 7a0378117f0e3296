"""What must hold when it is quiet again."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.audit import ROOT, Entry, empty, record
from pipeline.rejections import REJECTED
from pipeline.verification import Verified, verify
from schemas.audit import TERMINAL
from schemas.topics import REQUESTS_INBOX, TOPICS
from tests.simulation.backgrounds import misled
from tests.simulation.clients import CANARY, EMAIL, WAITS, Caller
from tests.simulation.outside import unforgotten, untold
from tests.simulation.signing import unsigned

if TYPE_CHECKING:
    from tests.simulation.world import World


def wrongs(world: "World", callers: list[Caller]) -> Iterator[str]:
    """Every promise that was broken, in words."""
    yield from world.loop.unhandled
    yield from _failures(world)
    yield from _ends(world)
    yield from _chains(world)
    yield from _twice(world)
    yield from _answers(callers)
    yield from _buried(world)
    yield from _clear(world)
    yield from untold(world)
    yield from unforgotten(world)
    yield from unsigned(world)
    yield from misled(world, callers)
    yield from world.ages.wrongs()


def _failures(world: "World") -> Iterator[str]:
    """What fails in a loop fails because something was away."""
    for line in world.lines:
        failed = line.startswith(("timed_worker_failed", "unexpected_error"))
        if failed and not line.endswith("error=RetryableError"):
            yield f"a loop met {line}"


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
    for tenant, request in world.inbox.values():
        state = world.now(world.requests.get(tenant, request))
        if state is None or state.finished is None:
            yield f"{request} of the inbox has no end"


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


def _twice(world: "World") -> Iterator[str]:
    """No step is told twice: a redelivery has the ids of what it repeats."""
    for tenant in world.now(world.ledger.tenants()):
        told = Counter[tuple[object, ...]]()
        for entry in world.now(world.ledger.read(tenant, 0, 100_000)):
            found = record(entry.body)
            step = found.request_id, found.action, found.status, _job(world, entry)
            if found.request_id is None or found.action == "record.buried":
                continue  # each record that is buried is told of, also a repeat
            # So is each that is refused: a producer may have sent it twice.
            sent = world.sent[found.request_id] if found.action == REJECTED else 1
            told[step] += 1
            if told[step] > sent:
                yield f"{found.request_id}: {found.action} {found.status} twice"


def _job(world: "World", entry: Entry) -> str | None:
    """Which order an erasure's record tells of: of one request there may be several."""
    erases = entry.action.startswith("erasure.")
    return world.watch.causes.get(entry.event_id) if erases else None


def _answers(callers: list[Caller]) -> Iterator[str]:
    """Who got an answer got their own, and always the same."""
    for caller in callers:
        if any(b'"unexpected"' in answer.body for answer in caller.answers):
            yield f"caller {caller.number} met an unexpected error"
        if caller.way != WAITS:
            continue
        known = [a for a in caller.answers if a.status == 200]
        for answer in known:
            if f"number-{caller.number}-".encode() not in answer.body:
                yield f"caller {caller.number} got another's answer"
        if len({answer.body for answer in known}) > 1:
            yield f"caller {caller.number} got two answers"


def _buried(world: "World") -> Iterator[str]:
    """Nothing of our own making is buried."""
    for topic, partition, offset in sorted(world.watch.buried):
        if topic != REQUESTS_INBOX.name:
            yield f"{topic}[{partition}]@{offset} was buried"


def _clear(world: "World") -> Iterator[str]:
    """No content in the clear: in topics, dead letters, lines and tables."""
    for place, text in (*_written(world), *_told(world)):
        if any(word in text for word in SECRETS):
            yield f"content in the clear in {place}"
    if any(EMAIL.encode() in body for body in world.providers.bodies):
        yield "the provider was given an address"


def _spellings(word: str) -> Iterator[bytes]:
    """A word as it is, and in base64 wherever it begins in what was encoded."""
    yield word.encode()
    for before in range(3):
        whole = b64encode(b" " * before + word.encode() + b"  ")
        yield whole[4 : len(word) * 4 // 3 - 4]


SECRETS = tuple(text for word in (CANARY, EMAIL) for text in _spellings(word))


def _written(world: "World") -> Iterator[tuple[str, bytes]]:
    for topic in TOPICS:
        names = [topic.name] if topic is not REQUESTS_INBOX else []
        for name in [*names, *filter(None, [topic.dead])]:
            for lying in world.log.records(name):
                headers = b" ".join(value or b"" for _, value in lying.headers)
                yield name, (lying.key or b"") + (lying.value or b"") + headers
    yield "lines", "\n".join(world.lines).encode()
    for row in world.requests.rows.values():
        yield "requests", row.terms.model_dump_json().encode()
        if row.finished is not None:
            yield "requests", row.finished.model_dump_json().encode()
    for call in world.calls.taken.values():
        yield "calls", call.result or b""
    for tenant in world.now(world.ledger.tenants()):
        for entry in world.now(world.ledger.read(tenant, 0, 100_000)):
            yield "ledger", entry.body


def _told(world: "World") -> Iterator[tuple[str, bytes]]:
    """What is on its way out, and what operators and subscribers are given."""
    for row in world.outbox.rows:
        yield "outbox", row.values["headers"] + row.values["value"]
    for plan in world.purges._plans.values():
        yield "purges", repr(plan).encode() + (plan.probe or b"")
    for receipt in world.purges._receipts.values():
        yield "receipts", receipt.encode()
    for message in world.webhooks._messages.values():
        yield "webhook messages", message.body
    for bodies in world.subscriber.taken.values():
        yield "webhooks", b" ".join(bodies)
