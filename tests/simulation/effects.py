"""What must be durable before a record's offset is committed."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pipeline.ports.bus import Record
from schemas.audit import TERMINAL
from schemas.ids import EventId, RequestId, TenantId
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    RETENTION_DUE,
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
)
from schemas.webhooks import WebhookDue

if TYPE_CHECKING:
    from tests.simulation.world import World

Lacks = Callable[["World", Record, Mapping[str, str]], Iterator[str]]


def missing(world: "World", record: Record) -> Iterator[str]:
    """What is not there yet of a record that is said to be finished, in words."""
    if (record.topic, record.partition, record.offset) not in world.watch.buried:
        yield from LACKS[record.topic](world, record, headers(record))


def headers(record: Record) -> dict[str, str]:
    """Headers as text, where they are."""
    found = dict(record.headers).items()
    return {name: (value or b"").decode(errors="replace") for name, value in found}


def attempt(record: Record) -> tuple[str, int]:
    """Which attempt of which delivery a record is about."""
    data = WebhookDue.model_validate_json(record.value or b"")
    return data.delivery, data.attempt


def _unstaged(
    onward: str, tells: str, world: "World", _: Record, told: Mapping[str, str]
) -> Iterator[str]:
    watch, cause = world.watch, told.get("ce_id", "")
    ended = watch.caused[REQUESTS_FINISHED.name, cause]
    if not watch.caused[onward, cause] and not ended:
        yield "what follows from it"
    if not watch.told[tells, cause]:
        yield "its audit record"


def _unfinished(world: "World", _: Record, told: Mapping[str, str]) -> Iterator[str]:
    tenant, request = TenantId(told["ce_tenant"]), RequestId(told["ce_subject"])
    state = world.now(world.requests.get(tenant, request))
    if state is None:
        return  # it ends what was never admitted
    if state.finished is None:
        yield "the end in its row"
    elif state.finished_by == told["ce_id"]:
        if not any(world.watch.told[action, told["ce_id"]] for action in TERMINAL):
            yield "its terminal record"
        if not _announced(world, request):
            yield "its webhook's message"


def _announced(world: "World", request: RequestId) -> bool:
    about, kept = request.encode(), world.webhooks._messages.values()
    return any(about in message.body for message in kept)


def _unrecorded(world: "World", _: Record, told: Mapping[str, str]) -> Iterator[str]:
    entries = world.ledger._entries.get(TenantId(told["ce_tenant"]), [])
    if not any(entry.event_id == told["ce_id"] for entry in entries):
        yield "its place on the ledger"


def _unforgotten(world: "World", _: Record, told: Mapping[str, str]) -> Iterator[str]:
    job = EventId(told["ce_id"])
    if not world.watch.told["erasure.completed", job]:
        yield "its record"
    if (TenantId(told["ce_tenant"]), job) not in world.purges._receipts:
        yield "its receipt"


def _unadmitted(world: "World", _: Record, told: Mapping[str, str]) -> Iterator[str]:
    expected = world.inbox.get(told.get("ce_id", ""))
    if expected is None:
        yield "its dead letter"
    elif expected not in world.watch.accepted and not _over(world, *expected):
        yield "its acceptance"


def _over(world: "World", tenant: TenantId, request: RequestId) -> bool:
    """Has it ended, or is its row past its deadline, so that the sweeper ends it?"""
    state = world.now(world.requests.get(tenant, request))
    if state is None:
        return False
    late = world.clock.now() >= state.terms.deadline
    return late or state.finished is not None


def _unattempted(world: "World", record: Record, _: Mapping[str, str]) -> Iterator[str]:
    if attempt(record) not in world.webhooks.begun:
        yield "its attempt"


def _undue(world: "World", record: Record, _: Mapping[str, str]) -> Iterator[str]:
    if attempt(record) not in world.watch.due:
        yield "the attempt that is due"


LACKS: Mapping[str, Lacks] = {
    REQUESTS_INBOX.name: _unadmitted,
    REQUESTS_ACCEPTED.name: partial(
        _unstaged, REQUESTS_SCREENED.name, "request.screened"
    ),
    REQUESTS_SCREENED.name: partial(
        _unstaged, REQUESTS_REDACTED.name, "request.redacted"
    ),
    REQUESTS_REDACTED.name: partial(
        _unstaged, REQUESTS_FINISHED.name, "request.called"
    ),
    REQUESTS_FINISHED.name: _unfinished,
    AUDIT_RECORDED.name: _unrecorded,
    RETENTION_DUE.name: _unforgotten,
    WEBHOOKS_DUE.name: _unattempted,
    WEBHOOKS_RETRY_5S.name: _undue,
    WEBHOOKS_RETRY_5M.name: _undue,
}
"""By topic; each stage publishes onward or else ends the request, and tells of it."""
