"""What subscribers are told: messages of ids and words of ours, never of content."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.dialects.openai_responses import response_id
from pipeline.ports.tenants import Environment
from pipeline.ports.webhooks import Due, Message
from pipeline.reasons import CUT_SHORT
from pipeline.trail import withheld
from pipeline.webhooks import body, message_id
from schemas.events import Attributes, Event
from schemas.ids import EndpointId, RequestId, TenantId, event_id
from schemas.requests import Dialect, Outcome, RequestFinished, Terms
from schemas.topics import Outgoing, Topic
from schemas.webhooks import Kind, WebhookDue

_ENDS: Final = {
    Outcome.COMPLETED: Kind.REQUEST_COMPLETED,
    Outcome.BLOCKED: Kind.REQUEST_BLOCKED,
    Outcome.FAILED: Kind.REQUEST_FAILED,
    Outcome.CANCELLED: Kind.REQUEST_CANCELLED,
}
_RESPONSES: Final = {
    Outcome.COMPLETED: Kind.RESPONSE_COMPLETED,
    Outcome.BLOCKED: Kind.RESPONSE_FAILED,
    Outcome.FAILED: Kind.RESPONSE_FAILED,
    Outcome.CANCELLED: Kind.RESPONSE_CANCELLED,
}


def of_end(event: Event[RequestFinished], terms: Terms) -> Sequence[Message]:
    """A request's end; where it was a response, as OpenAI's SDKs expect it too."""
    attributes, end = event.attributes, event.data
    request = RequestId(attributes.subject)
    told = {"request_id": request, "outcome": end.outcome, "reason": end.reason}
    kinds: list[tuple[Kind, Mapping[str, Any]]] = [
        (_ENDS[end.outcome], {"id": request, **told})
    ]
    if terms.dialect is Dialect.OPENAI_RESPONSES:
        kinds.append((_response(end), {"id": response_id(request), **told}))
    return [
        _message(
            attributes.tenant,
            terms.environment,
            kind,
            data,
            cause=attributes.id,
            at=attributes.time,
        )
        for kind, data in kinds
    ]


def _response(end: RequestFinished) -> Kind:
    cut = end.outcome is Outcome.COMPLETED and end.reason == CUT_SHORT
    incomplete = cut or withheld(end)
    return Kind.RESPONSE_INCOMPLETE if incomplete else _RESPONSES[end.outcome]


def of_receipt(tenant: TenantId, job: str, at: datetime) -> Sequence[Message]:
    """A receipt was signed: for the endpoints of both environments."""
    return _everywhere(tenant, Kind.RECEIPT_ISSUED, {"id": job}, job, at)


def of_incident(tenant: TenantId, record: str, at: datetime) -> Sequence[Message]:
    """The ledger recorded an incident; ``record``: its event id."""
    return _everywhere(tenant, Kind.LEDGER_INCIDENT, {"id": record}, record, at)


def of_disabled(
    tenant: TenantId, endpoint: EndpointId, why: str, at: datetime
) -> Sequence[Message]:
    """An endpoint was disabled; the others are told."""
    cause = f"{endpoint}:{at.isoformat()}"
    data = {"id": endpoint, "reason": why}
    return _everywhere(tenant, Kind.ENDPOINT_DISABLED, data, cause, at)


def _everywhere(
    tenant: TenantId, kind: Kind, data: Mapping[str, Any], cause: str, at: datetime
) -> Sequence[Message]:
    places: tuple[Environment, ...] = ("live", "test")
    return [
        _message(tenant, place, kind, data, cause=f"{cause}:{place}", at=at)
        for place in places
    ]


def _message(
    tenant: TenantId,
    environment: Environment,
    kind: Kind,
    data: Mapping[str, Any],
    *,
    cause: str,
    at: datetime,
) -> Message:
    name = message_id(cause, kind)
    event = name.replace("msg_", "evt_")
    return Message(
        tenant_id=tenant,
        environment=environment,
        id=name,
        kind=kind,
        body=body(event, kind, at, data),
        created_at=at,
    )


def sample(kind: Kind, cause: str, at: datetime) -> tuple[str, bytes]:
    """The id and the body of a message that tells of nothing."""
    name = message_id(cause, kind)
    data = {"id": cause, "request_id": cause, "outcome": None, "reason": None}
    return name, body(name.replace("msg_", "evt_"), kind, at, data)


def due(
    each: Due,
    topic: Topic[WebhookDue],
    *,
    source: str,
    now: datetime,
    at: datetime,
    cause: Attributes | None = None,
) -> Outgoing[WebhookDue]:
    """The event that has an attempt made, not before ``at``.

    ``cause``: the event that it tells of; the attempt then goes on in its trace.
    """
    data = WebhookDue(delivery=each.delivery, attempt=each.attempt, not_before=at)
    attributes = Attributes(
        id=event_id(each.delivery, f"{topic.name}:{each.attempt}:{at.isoformat()}"),
        type=WebhookDue.kind,
        source=source,
        subject=each.endpoint_id,
        tenant=each.tenant_id,
        time=now,
        causation=cause.id if cause else None,
        origin=cause.origin if cause else None,
        traceparent=cause.traceparent if cause else None,
    )
    return Outgoing(topic, Event(attributes, data))


def named(event: Event[WebhookDue]) -> Due:
    """Which attempt of which delivery an event is about."""
    attributes, data = event.attributes, event.data
    endpoint = EndpointId(attributes.subject)
    return Due(attributes.tenant, endpoint, data.delivery, data.attempt)
