"""``/v1/webhook_endpoints``: where a tenant wants to be told, by its own credential."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pipeline.admission import MANAGE
from pipeline.announcements import sample
from pipeline.egress import EgressRules, Forbidden, Target, target
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.webhooks import (
    Change,
    Endpoint,
    Endpoints,
    Holder,
    SealedSecret,
    Sender,
)
from pipeline.webhooks import SECRET_BYTES, Secret, headers
from producers.auth import Door
from producers.faults import INVALID_REQUEST, NOT_FOUND, OVERLOADED, Fault
from producers.gateway.bodies import body, has_body
from producers.gateway.errors import response
from producers.gateway.places import Places
from schemas.api.webhooks import (
    EndpointChange,
    EndpointDeleted,
    EndpointDocument,
    EndpointPage,
    EndpointTest,
    EndpointTested,
    EndpointWithSecret,
    EventTypes,
    NewEndpoint,
    Rotation,
)
from schemas.base import Schema
from schemas.ids import EndpointId
from schemas.problems import FIELD
from schemas.webhooks import Kind

S = TypeVar("S", bound=Schema)

PATH: Final = "/v1/webhook_endpoints"
MAX_BODY_BYTES: Final = 16 * 1024
OVERLAP: Final = timedelta(hours=24)
TESTS_AT_ONCE: Final = 64
"""Each is a connection of this process for up to a quarter of a minute."""
PAGE: Final = 20
MAX_PAGE: Final = 100
_LIMIT: Final = re.compile("[0-9]{1,3}")

TARGET_FORBIDDEN: Final = Fault(
    code="webhook-target-forbidden",
    status=422,
    title="Webhooks cannot go there",
    detail="Name a public host by an https URL; addresses inside are not dialled.",
    word="webhook_target_forbidden",
)
TOO_MANY: Final = Fault(
    code="too-many-webhook-endpoints",
    status=409,
    title="There are as many endpoints as there may be",
    detail="Delete one that is not used any more.",
    word="too_many_webhook_endpoints",
)
TEST_FAILED: Final = Fault(
    code="webhook-test-failed",
    status=422,
    title="The endpoint did not answer",
    detail="`errors` says how it failed; nothing of the endpoint was changed.",
    word="webhook_test_failed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoints:
    """Endpoints of the credential's own tenant and environment.

    Another's id, and one that never was, get the same answer.

    Attributes:
        places: tests that are under way.
    """

    door: Door
    endpoints: Endpoints
    secrets: EndpointSecrets
    sender: Sender
    rules: EgressRules
    clock: Clock
    entropy: Entropy
    places: Places = field(default_factory=lambda: Places(TESTS_AT_ONCE))

    def routes(self) -> list[BaseRoute]:
        """Below :data:`PATH`, and the list of event types."""
        one = PATH + "/{endpoint_id}"
        return [
            Route("/v1/webhook_event_types", self.types, methods=["GET"]),
            Route(PATH, self.all, methods=["GET"]),
            Route(PATH, self.create, methods=["POST"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(one + "/test", self.test, methods=["POST"]),
            Route(one + "/rotate_secret", self.rotate, methods=["POST"]),
        ]

    async def types(self, request: Request) -> Response:
        """What endpoints can be told of."""
        holder = await self._holder(request)
        if isinstance(holder, Fault):
            return response(request, holder)
        return _json(EventTypes(data=tuple(Kind)))

    async def create(self, request: Request) -> Response:
        """A new endpoint; its secret is shown in this answer alone."""
        found = await self._asked(request, NewEndpoint)
        if isinstance(found, Fault):
            return response(request, found)
        holder, asked = found
        place = await self._reached(asked.url)
        if isinstance(place, Fault):
            return response(request, place)
        endpoint, now = EndpointId(self.entropy.uuid7()), self.clock.now()
        url = await self.secrets.seal_url(holder.tenant_id, endpoint, place.url)
        secret, sealed = await self._new_secret(holder)
        made = Endpoint(
            tenant_id=holder.tenant_id,
            id=endpoint,
            environment=holder.environment,
            name=asked.name,
            url_sealed=url,
            event_types=asked.event_types,
            hint=secret.hint,
            created_at=now,
            updated_at=now,
        )
        if not await self.endpoints.create(made, sealed, holder):
            return response(request, TOO_MANY)
        return await self._shown(made, secret)

    async def all(self, request: Request) -> Response:
        """``?after=…&limit=…``, newest first."""
        holder = await self._holder(request)
        if isinstance(holder, Fault):
            return response(request, holder)
        given = request.query_params.get("limit", str(PAGE))
        limit = int(given) if _LIMIT.fullmatch(given) else 0
        if not 1 <= limit <= MAX_PAGE:
            return response(request, INVALID_REQUEST.about("limit: expected 1 to 100"))
        found = list(await self.endpoints.all(holder))
        after = request.query_params.get("after")
        if after is not None:
            found = _behind(found, after)
        page = [await self._document(each) for each in found[:limit]]
        return _json(
            EndpointPage(
                data=tuple(page),
                first_id=page[0].id if page else None,
                last_id=page[-1].id if page else None,
                has_more=len(found) > limit,
            )
        )

    async def get(self, request: Request) -> Response:
        """One endpoint."""
        found = await self._found(request)
        if isinstance(found, Fault):
            return response(request, found)
        return _json(await self._document(found[1]))

    async def update(self, request: Request) -> Response:
        """Change it; one that was disabled is enabled again."""
        found = await self._asked(request, EndpointChange)
        if isinstance(found, Fault):
            return response(request, found)
        holder, asked = found
        endpoint = _named(request)
        place = await self._reached(asked.url) if asked.url is not None else None
        if isinstance(place, Fault):
            return response(request, place)
        if endpoint is None:
            return response(request, NOT_FOUND)
        change = Change(name=asked.name, event_types=asked.event_types)
        if place is not None:
            url = await self.secrets.seal_url(holder.tenant_id, endpoint, place.url)
            change = replace(change, url_sealed=url)
        now = self.clock.now()
        changed = await self.endpoints.update(endpoint, change, now, holder)
        if changed is None:
            return response(request, NOT_FOUND)
        return _json(await self._document(changed))

    async def delete(self, request: Request) -> Response:
        """Forget it, and what was to be delivered to it."""
        found = await self._found(request)
        if isinstance(found, Fault):
            return response(request, found)
        holder, endpoint = found
        await self.endpoints.delete(endpoint.id, holder)
        return _json(EndpointDeleted(id=endpoint.id))

    async def rotate(self, request: Request) -> Response:
        """A new secret, shown here alone; the old one ends now, or in a day."""
        found = await self._asked(request, Rotation, empty=True)
        if isinstance(found, Fault):
            return response(request, found)
        holder, asked = found
        endpoint, now = _named(request), self.clock.now()
        if endpoint is None:
            return response(request, NOT_FOUND)
        secret, sealed = await self._new_secret(holder)
        keeps = asked.keep_old_secret_active_for_24_hours
        changed = await self.endpoints.rotate(
            endpoint,
            sealed,
            now=now,
            old_until=now + OVERLAP if keeps else now,
            by=holder,
        )
        if changed is None:
            return response(request, NOT_FOUND)
        return await self._shown(changed, secret)

    async def test(self, request: Request) -> Response:
        """One real attempt with a sample, signed as all are."""
        given = await self._asked(request, EndpointTest)
        if isinstance(given, Fault):
            return response(request, given)
        holder, asked = given
        name = _named(request)
        endpoint = await self.endpoints.get(name, holder) if name else None
        if endpoint is None:
            return response(request, NOT_FOUND)
        url = await self._url(endpoint)
        if isinstance(place := target(url, self.rules), Forbidden):
            return response(request, TARGET_FORBIDDEN)
        now, cause = self.clock.now(), self.entropy.uuid7()
        message, raw = sample(asked.event_type, cause, now)
        signed = headers(await self._keys(endpoint), message, now, raw)
        if not self.places.open_to(holder.tenant_id):
            return response(request, OVERLOADED)
        with self.places.taken(holder.tenant_id):
            seen = await self.sender.send(place.url, signed, raw)
        if seen.status is None:
            return response(request, TEST_FAILED.about(f"endpoint: {seen.error}"))
        return _json(
            EndpointTested(
                webhook_endpoint_id=endpoint.id,
                event_type=asked.event_type,
                status_code=seen.status,
            )
        )

    async def _holder(self, request: Request) -> Holder | Fault:
        found = await self.door.principal(request, MANAGE)
        if isinstance(found, Fault):
            return found
        return Holder(found.tenant_id, found.environment, found.actor)

    async def _asked(
        self, request: Request, shape: type[S], *, empty: bool = False
    ) -> tuple[Holder, S] | Fault:
        holder = await self._holder(request)
        if isinstance(holder, Fault):
            return holder
        typed = request.headers.get("content-type")
        if empty and not typed and not has_body(request):
            return holder, shape()
        raw = await body(request, MAX_BODY_BYTES)
        if isinstance(raw, Fault):
            return raw
        try:
            return holder, shape.model_validate_json(raw or b"{}")
        except ValidationError as error:
            return INVALID_REQUEST.about(*_expected(error))

    async def _found(self, request: Request) -> tuple[Holder, Endpoint] | Fault:
        holder = await self._holder(request)
        if isinstance(holder, Fault):
            return holder
        endpoint = _named(request)
        found = await self.endpoints.get(endpoint, holder) if endpoint else None
        return NOT_FOUND if found is None else (holder, found)

    async def _reached(self, url: str) -> Target | Fault:
        """A courtesy to whoever mistypes; each attempt checks again."""
        place = target(url, self.rules)
        if isinstance(place, Forbidden):
            return TARGET_FORBIDDEN.about(f"url: expected {place.expected}")
        if not await self.sender.reaches(place.host, place.port):
            return TARGET_FORBIDDEN.about("url: expected the name of a public host")
        return place

    async def _url(self, it: Endpoint) -> str:
        return await self.secrets.url(it.tenant_id, it.id, it.url_sealed)

    async def _new_secret(self, holder: Holder) -> tuple[Secret, SealedSecret]:
        secret = Secret(self.entropy.bytes(SECRET_BYTES))
        row = self.entropy.uuid7()
        return secret, await self.secrets.seal(holder.tenant_id, row, secret)

    async def _keys(self, endpoint: Endpoint) -> list[Secret]:
        now, tenant = self.clock.now(), endpoint.tenant_id
        kept = await self.endpoints.secrets(tenant, endpoint.id, now)
        return await self.secrets.opened(tenant, kept)

    async def _shown(self, endpoint: Endpoint, secret: Secret) -> Response:
        document = (await self._document(endpoint)).model_dump()
        return _json(EndpointWithSecret(**document, signing_secret=secret.text))

    async def _document(self, endpoint: Endpoint) -> EndpointDocument:
        return EndpointDocument(
            id=endpoint.id,
            name=endpoint.name,
            url=await self._url(endpoint),
            event_types=endpoint.event_types,
            created_at=int(endpoint.created_at.timestamp()),
            updated_at=int(endpoint.updated_at.timestamp()),
            signing_secret_hint=endpoint.hint,
            disabled_reason=endpoint.disabled_reason,
        )


def _named(request: Request) -> EndpointId | None:
    return _canonical(request.path_params["endpoint_id"])


def _canonical(text: str) -> EndpointId | None:
    try:
        return EndpointId(str(UUID(text)))
    except ValueError:
        return None


def _behind(found: list[Endpoint], after: str) -> list[Endpoint]:
    """Those older than one that may have been deleted since: ids grow with time."""
    name = _canonical(after)
    names = [each.id for each in found]
    if name in names:
        return found[names.index(name) + 1 :]
    return [each for each in found if name is not None and each.id < name]


def _expected(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    inside = {each["loc"][:-1] for each in found}
    # A list whose members are wrong is said to be too short, for none of them counts.
    told = (
        f"{_path(each['loc'])}: {each['msg']}"
        for each in found
        if not (each["type"] == "too_short" and each["loc"] in inside)
    )
    return list(dict.fromkeys(told))[:16]


def _path(way: tuple[int | str, ...]) -> str:
    path = ".".join(map(str, way))
    return path if FIELD.fullmatch(path) else "body"


def _json(document: Schema) -> Response:
    return Response(document.model_dump_json(), media_type="application/json")
