"""Webhooks: what is due, and which kinds of event there are."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.audit import Uuid
from schemas.base import Schema


class Kind(StrEnum):
    """What subscribers can be told of."""

    RESPONSE_COMPLETED = "response.completed"
    RESPONSE_FAILED = "response.failed"
    RESPONSE_INCOMPLETE = "response.incomplete"
    RESPONSE_CANCELLED = "response.cancelled"
    REQUEST_COMPLETED = "request.completed"
    REQUEST_BLOCKED = "request.blocked"
    REQUEST_FAILED = "request.failed"
    REQUEST_CANCELLED = "request.cancelled"
    RECEIPT_ISSUED = "retention.receipt.issued"
    LEDGER_INCIDENT = "ledger.incident"
    ENDPOINT_DISABLED = "endpoint.disabled"


class WebhookDue(Schema):
    """One attempt of one delivery is due. A reference: topics carry no bodies.

    Attributes:
        attempt: from 1; an event of an attempt that is over is passed over.
        not_before: when, on the topics that delay.
    """

    kind: ClassVar[str] = "webhook.due.v1"

    delivery: Uuid
    attempt: Annotated[int, Field(ge=1, le=32)]
    not_before: datetime
