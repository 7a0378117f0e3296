"""Tokens that we did not issue open neither way in."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from hmac import digest
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from infra.tokens import Tokens
from pipeline.admission import API_AUDIENCE, INBOX_AUDIENCE
from pipeline.errors import InvalidMessage
from pipeline.ports.tokens import Claims
from schemas.topics import REQUESTS_ACCEPTED
from tests.support.audit import TENANT
from tests.support.gateway import CLIENT, ENTROPY, World, dumped

Forge = Callable[[World, Mapping[str, Any]], str]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await World(tmp_path).begin()


def issued(world: World, audience: str) -> str:
    now = world.clock.now()
    claims = Claims(
        tenant_id=TENANT,
        client_id=CLIENT,
        environment="live",
        audience=audience,
        scope=frozenset({"inbox"}),
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    return world.tokens.issue(claims)


def payload(world: World, audience: str) -> dict[str, Any]:
    """What a good token says."""
    text = issued(world, audience)
    found = jwt.decode(text, world.tokens.signing, algorithms=["ES256"])
    return dict(found.claims)


def encoded(part: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def signed(world: World, claims: Mapping[str, Any], **header: Any) -> str:
    protected = {"alg": "ES256", "typ": "at+jwt", "kid": world.tokens.signing.kid}
    return jwt.encode(
        {**protected, **header},
        dict(claims),
        world.tokens.signing,
        algorithms=["ES256"],
    )


def unsigned(_: World, claims: Mapping[str, Any]) -> str:
    return encoded({"alg": "none", "typ": "at+jwt"}) + "." + encoded(claims) + "."


def by_the_public_key(world: World, claims: Mapping[str, Any]) -> str:
    """The published key as an HMAC secret; honest libraries refuse to make it."""
    header = {"alg": "HS256", "typ": "at+jwt", "kid": world.tokens.signing.kid}
    text = f"{encoded(header)}.{encoded(claims)}"
    public = world.tokens.signing.as_pem(private=False)
    mac = digest(public, text.encode(), "sha256")
    return f"{text}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def by_another_key(world: World, claims: Mapping[str, Any]) -> str:
    header = {"alg": "ES256", "typ": "at+jwt", "kid": world.tokens.signing.kid}
    other = ECKey.generate_key("P-256")
    return jwt.encode(header, dict(claims), other, algorithms=["ES256"])


def with_its_own_key(_: World, claims: Mapping[str, Any]) -> str:
    other = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "at+jwt", "jwk": other.as_dict(private=False)}
    return jwt.encode(header, dict(claims), other, algorithms=["ES256"])


def by_the_sealing_key(world: World, claims: Mapping[str, Any]) -> str:
    world.inbox.published()  # makes it
    (name,) = world.inbox._there()
    sealing = world.inbox._key(name).as_dict(private=True)
    named = {**sealing, "use": "sig", "alg": "ES256"}
    header = {"alg": "ES256", "typ": "at+jwt"}
    key = ECKey.import_key(named)
    return jwt.encode(header, dict(claims), key, algorithms=["ES256"])


def bent(world: World, claims: Mapping[str, Any]) -> str:
    head, _, tail = signed(world, claims).split(".")
    return ".".join((head, encoded({**claims, "tenant_id": "another"}), tail))


def of_another_type(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, claims, typ="JWT")


def of_another_issuer(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, {**claims, "iss": "https://elsewhere.test"})


def without_a_tenant(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, {k: v for k, v in claims.items() if k != "tenant_id"})


def without_an_end(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, {k: v for k, v in claims.items() if k != "exp"})


def with_an_end_that_is_no_number(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, {**claims, "exp": "never"})


def for_two_audiences(world: World, claims: Mapping[str, Any]) -> str:
    return signed(world, {**claims, "aud": [API_AUDIENCE, INBOX_AUDIENCE]})


def of_an_older_gateway(world: World, claims: Mapping[str, Any]) -> str:
    """The same issuer's name, another installation's key."""
    folder = world.folder / "older"
    older = Tokens.load(folder, issuer=world.tokens.issuer, entropy=ENTROPY)
    header = {"alg": "ES256", "typ": "at+jwt", "kid": older.signing.kid}
    return jwt.encode(header, dict(claims), older.signing, algorithms=["ES256"])


FORGERIES = (
    unsigned,
    by_the_public_key,
    by_another_key,
    with_its_own_key,
    by_the_sealing_key,
    bent,
    of_another_type,
    of_another_issuer,
    without_a_tenant,
    without_an_end,
    with_an_end_that_is_no_number,
    for_two_audiences,
    of_an_older_gateway,
)


async def by_http(world: World, token: str) -> int:
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
    }
    async with world.client(**headers) as client:
        answer = await client.post("/v1/chat/completions", content=dumped())
    return answer.status_code


async def by_kafka(world: World, token: str) -> bool:
    """Was a request accepted?"""
    headers = {"authorization": f"Bearer {token}".encode(), "ce_id": b"order-1"}
    try:
        outs = await world.admission().handle([world.record(dumped(), headers)])
    except InvalidMessage:
        return False
    return any(out.topic is REQUESTS_ACCEPTED for out in outs)


async def test_ours_open_what_they_are_for(world: World) -> None:
    assert 200 == await by_http(world, issued(world, API_AUDIENCE))
    assert await by_kafka(world, issued(world, INBOX_AUDIENCE))
    assert 200 == await by_http(world, signed(world, payload(world, API_AUDIENCE)))


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
async def test_forgeries_open_nothing(world: World, forge: Forge) -> None:
    http = forge(world, payload(world, API_AUDIENCE))
    kafka = forge(world, payload(world, INBOX_AUDIENCE))

    assert 401 == await by_http(world, http)
    assert not await by_kafka(world, kafka)
