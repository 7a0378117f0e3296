"""Webhook endpoints, as OpenAI's SDKs write and read them."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Schema
from schemas.webhooks import Kind

Name = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
Kinds = Annotated[tuple[Kind, ...], Field(min_length=1, max_length=32)]


class NewEndpoint(Schema):
    """``POST /v1/webhook_endpoints``."""

    name: Name
    url: Url
    event_types: Kinds


class EndpointChange(Schema):
    """``POST /v1/webhook_endpoints/{id}``: what is left out stays."""

    name: Name | None = None
    url: Url | None = None
    event_types: Kinds | None = None


class Rotation(Schema):
    """``POST /v1/webhook_endpoints/{id}/rotate_secret``."""

    keep_old_secret_active_for_24_hours: bool = False


class EndpointTest(Schema):
    """``POST /v1/webhook_endpoints/{id}/test``."""

    event_type: Kind


class EndpointDocument(Schema):
    """One endpoint. ``created_at`` and ``updated_at`` are Unix seconds.

    Attributes:
        disabled_reason: ``gone`` or ``failing``; None: it is told of events.
    """

    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    id: str
    name: str
    url: str
    event_types: tuple[str, ...]
    created_at: int
    updated_at: int
    signing_secret_hint: str
    disabled_reason: str | None = None


class EndpointWithSecret(EndpointDocument):
    """The answer to creating an endpoint, and to rotating its secret."""

    signing_secret: Annotated[str, Field(repr=False)]


class EndpointPage(Schema):
    """Endpoints, newest first."""

    object: Literal["list"] = "list"
    data: tuple[EndpointDocument, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


class EndpointDeleted(Schema):
    """It is gone, and what was to be delivered to it."""

    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    id: str
    deleted: Literal[True] = True


class EndpointTested(Schema):
    """What the endpoint answered to a sample."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class EventTypes(Schema):
    """``GET /v1/webhook_event_types``."""

    object: Literal["list"] = "list"
    data: tuple[str, ...]
