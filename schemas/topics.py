"""Every topic, declared once: created from here, documented from here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from schemas.audit import AuditRecorded
from schemas.base import Schema
from schemas.events import Attributes, Data, Event
from schemas.requests import (
    RequestAccepted,
    RequestFinished,
    RequestRedacted,
    RequestReplied,
    RequestScreened,
)
from schemas.retention import ErasureOrdered
from schemas.webhooks import WebhookDue

HOUR_MS = 3_600_000
RETENTION_MS = 72 * HOUR_MS
SEGMENT_MS = 6 * HOUR_MS
MAX_RECORD_BYTES = 4 * 1024 * 1024
DEAD_LETTER_MARGIN_BYTES = 64 * 1024


def by_subject(attributes: Attributes) -> bytes:
    """The subject, mostly a request: its records stay in order."""
    return attributes.subject.encode()


def by_tenant(attributes: Attributes) -> bytes:
    """The tenant id: one log's records stay in order."""
    return attributes.tenant.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic(Generic[Data]):
    """One topic and what may be in it.

    Attributes:
        data: the type of the value; one topic, one type.
        key: which attribute decides the partition.
        group: the consumer group that handles it; None: readers of their own.
        partitions: how many; a group scales up to this number.
    """

    name: str
    data: type[Data]
    description: str
    group: str | None
    key: Callable[[Attributes], bytes] = by_subject
    partitions: int = 4

    @property
    def dead(self) -> str | None:
        """The dead-letter topic's name; None where nobody could bury."""
        return f"{self.name}.dead" if self.group else None


class InboxRequest(Schema):
    """What a producer puts into the inbox: a body of chat completions, as it is.

    The value is not decoded before admission has checked the bearer token.
    """


REQUESTS_INBOX: Topic[InboxRequest] = Topic(
    name="sluice.requests.inbox.v1",
    data=InboxRequest,
    description="Requests from producers' own Kafka clients, with a bearer token.",
    group="admission",
)
REQUESTS_ACCEPTED: Topic[RequestAccepted] = Topic(
    name="sluice.requests.accepted.v1",
    data=RequestAccepted,
    description="Requests that are durable and will end exactly once.",
    group="screening",
)
REQUESTS_SCREENED: Topic[RequestScreened] = Topic(
    name="sluice.requests.screened.v1",
    data=RequestScreened,
    description="Requests that screening let pass.",
    group="redaction",
)
REQUESTS_REDACTED: Topic[RequestRedacted] = Topic(
    name="sluice.requests.redacted.v1",
    data=RequestRedacted,
    description="Requests without what must not leave.",
    group="provider",
)
REQUESTS_FINISHED: Topic[RequestFinished] = Topic(
    name="sluice.requests.finished.v1",
    data=RequestFinished,
    description="Requests that ended: completed, blocked or failed.",
    group="outcomes",
)
REPLIES: Topic[RequestReplied] = Topic(
    name="sluice.replies.v1",
    data=RequestReplied,
    description="Ends of requests, each in the partition of the gateway that waits.",
    group=None,
    partitions=8,
)
AUDIT_RECORDED: Topic[AuditRecorded] = Topic(
    name="sluice.audit.recorded.v1",
    data=AuditRecorded,
    description="What every stage and every operator did, for the ledger.",
    group="audit",
    key=by_tenant,
)
RETENTION_DUE: Topic[ErasureOrdered] = Topic(
    name="sluice.retention.due.v1",
    data=ErasureOrdered,
    description="Orders to forget a request or a person.",
    group="retention",
    key=by_tenant,
)
WEBHOOKS_DUE: Topic[WebhookDue] = Topic(
    name="sluice.webhooks.due.v1",
    data=WebhookDue,
    description="Deliveries to attempt now; the subject is the endpoint.",
    group="webhooks",
)
WEBHOOKS_RETRY_5S: Topic[WebhookDue] = Topic(
    name="sluice.webhooks.retry.5s.v1",
    data=WebhookDue,
    description="Deliveries to attempt again some seconds after they were put here.",
    group="webhook_retries_5s",
)
WEBHOOKS_RETRY_5M: Topic[WebhookDue] = Topic(
    name="sluice.webhooks.retry.5m.v1",
    data=WebhookDue,
    description="Deliveries to attempt again some minutes after they were put here.",
    group="webhook_retries_5m",
)

TOPICS: Sequence[Topic[Any]] = (
    REQUESTS_INBOX,
    REQUESTS_ACCEPTED,
    REQUESTS_SCREENED,
    REQUESTS_REDACTED,
    REQUESTS_FINISHED,
    REPLIES,
    AUDIT_RECORDED,
    RETENTION_DUE,
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5S,
    WEBHOOKS_RETRY_5M,
)


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[Data]):
    """An event on its way to a topic; ``partition`` only where it is explicit."""

    topic: Topic[Data]
    event: Event[Data]
    partition: int | None = None
