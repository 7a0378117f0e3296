"""Records of the inbox, on twins."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, JWKRegistry

from consumers.admission import MAX_TOKEN_BYTES
from pipeline.admission import API_AUDIENCE, INBOX_AUDIENCE, READ, No, Refused
from pipeline.dialects import read
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.keystore import KeyId
from pipeline.ports.bus import Record
from pipeline.ports.keys import Destroyed, KeyRef
from pipeline.ports.tokens import Claims
from pipeline.rejections import REJECTED, rejected
from pipeline.sealing import Purpose
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.ids import Actor, RequestId, derived
from schemas.policies import PolicyDocument
from schemas.requests import Arrival, Outcome, RequestAccepted, RequestFinished
from schemas.topics import AUDIT_RECORDED, REQUESTS_ACCEPTED, Outgoing
from tests.support.audit import TENANT
from tests.support.gateway import BODY, CLIENT, CONTENTS, ROUTES, World, dumped

CANARY = "zq-canary-7f3e"


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await World(tmp_path).begin()


def token(world: World, audience: str = INBOX_AUDIENCE, **changes: Any) -> str:
    now = world.clock.now()
    claims = Claims(
        **{
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "environment": "live",
            "audience": audience,
            "scope": frozenset({"inbox"}),
            "issued_at": now,
            "expires_at": now + timedelta(hours=1),
            **changes,
        }
    )
    return world.tokens.issue(claims)


def headers(world: World, **changes: bytes | None) -> dict[str, bytes | None]:
    """A good record's headers, with changes."""
    found = {
        "authorization": f"Bearer {token(world)}".encode(),
        "ce_id": b"order-1",
        "content-type": b"application/json",
    }
    return {**found, **changes}


def request_id(event: str = "order-1") -> RequestId:
    return RequestId(derived(TENANT, "inbox", f"client:{CLIENT}", event))


async def handled(world: World, *records: Record) -> Sequence[Outgoing[Any]]:
    return await world.admission().handle(records)


def rejection(outs: Sequence[Outgoing[Any]]) -> Event[AuditRecorded]:
    """The one thing that came out: a rejection's record."""
    (out,) = outs
    assert out.topic is AUDIT_RECORDED
    assert REJECTED == out.event.data.action
    found: Event[AuditRecorded] = out.event
    return found


async def content(world: World, event: Event[RequestAccepted]) -> Any:
    request = RequestId(event.attributes.subject)
    ref = KeyRef(TENANT, request, KeyId(event.data.terms.key_id))
    key = (await world.keys.fetch([ref]))[ref]
    assert not isinstance(key, Destroyed)
    return read(CONTENTS.open(key, Purpose.REQUEST, event.data.content))


async def test_a_record_becomes_an_accepted_request(world: World) -> None:
    (out,) = await handled(world, world.record(dumped(), headers(world)))
    row = await world.requests.get(TENANT, request_id())

    assert out.topic is REQUESTS_ACCEPTED
    assert (request_id(), TENANT) == (
        out.event.attributes.subject,
        out.event.attributes.tenant,
    )
    assert BODY == await content(world, out.event)
    assert out.event.data.terms.reply_partition is None
    assert row is not None
    assert out.event.data.terms == row.terms


def sealed_letter(world: World) -> bytes:
    published = world.inbox.published()
    protected = {"alg": published["alg"], "enc": "A256GCM", "kid": published["kid"]}
    key = JWKRegistry.import_key(dict(published))
    return jwe.encrypt_compact(protected, dumped(), key).encode()


async def test_a_letter_to_the_published_key_is_opened(world: World) -> None:
    sealed = headers(world, **{"content-type": b"application/jose"})

    (out,) = await handled(world, world.record(sealed_letter(world), sealed))

    assert BODY == await content(world, out.event)


@pytest.mark.parametrize("value", [None, b"", b"no letter", dumped()])
async def test_a_letter_that_does_not_open_is_rejected(
    world: World, value: bytes | None
) -> None:
    sealed = headers(world, **{"content-type": b"application/jose"})

    told = rejection(await handled(world, world.record(value, sealed)))

    assert "letter_unreadable" == told.data.status


async def test_a_letter_to_another_key_is_rejected(world: World) -> None:
    other = ECKey.generate_key("P-256")
    protected = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
    letter = jwe.encrypt_compact(protected, dumped(), other).encode()
    sealed = headers(world, **{"content-type": b"application/jose"})

    told = rejection(await handled(world, world.record(letter, sealed)))

    assert "letter_unreadable" == told.data.status


async def test_a_redelivery_is_the_same_event(world: World) -> None:
    record = world.record(dumped(), headers(world))
    (first,) = await handled(world, record)
    world.clock.elapsed += timedelta(seconds=5)
    (again,) = await handled(world, record)

    assert first.event.attributes.id == again.event.attributes.id
    assert first.event.data.terms == again.event.data.terms


async def test_a_redelivery_of_what_has_ended_says_nothing(world: World) -> None:
    record = world.record(dumped(), headers(world))
    (out,) = await handled(world, record)
    end = RequestFinished(
        terms=out.event.data.terms,
        outcome=Outcome.FAILED,
        reason="upstream_refused",
        decisions=(),
        guards_ran=(),
    )
    await world.requests.finish([Event(out.event.attributes, end)])

    assert [] == await handled(world, record)


async def test_the_same_event_id_with_another_body_is_rejected(world: World) -> None:
    await handled(world, world.record(dumped(), headers(world)))
    other = world.record(dumped(temperature=1), headers(world), offset=8)

    assert (
        "idempotency_key_reused" == rejection(await handled(world, other)).data.status
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"authorization": None},
        {"authorization": b""},
        {"authorization": b"Basic eA=="},
        {"authorization": b"Bearer eyJhbGciOiJub25lIn0.e30."},
        {"authorization": b"Bearer \xff"},
        {"authorization": b"Bearer " + b"x" * 20_000},
    ],
)
async def test_a_record_of_nobody_is_a_dead_letter(
    world: World, changes: Mapping[str, bytes | None]
) -> None:
    record = world.record(CANARY.encode(), headers(world, **changes))

    with pytest.raises(InvalidMessage) as raised:
        await handled(world, record)

    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("letter", [False, True])
async def test_a_request_remembers_how_it_arrived(
    world: World, *, letter: bool
) -> None:
    sealed = {"content-type": b"application/jose"} if letter else {}
    value = sealed_letter(world) if letter else dumped()

    (out,) = await handled(world, world.record(value, headers(world, **sealed)))

    assert (Arrival.LETTER if letter else Arrival.PLAIN) == out.event.data.terms.arrival


async def test_tokens_that_do_not_open_the_inbox_are_rejections(world: World) -> None:
    now = world.clock.now()
    hour = timedelta(hours=1)
    before = {"issued_at": now - 2 * hour, "expires_at": now - hour}
    wrong = {
        "credential_wrong_audience": token(world, API_AUDIENCE),
        "credential_expired": token(world, **before),
        "credential_revoked": token(world, client_id="client-gone"),
    }
    for status, text in wrong.items():
        bearer = headers(world, authorization=f"Bearer {text}".encode())
        told = rejection(await handled(world, world.record(dumped(), bearer)))

        assert status == told.data.status
        assert TENANT == told.attributes.tenant


async def test_a_tenant_whose_log_was_closed_is_nobody(world: World) -> None:
    """Its tokens are still signed by us, and there is no log to tell it on."""
    record = world.record(dumped(), headers(world))
    world.credentials.revoke(CLIENT, world.clock.now())
    world.tenants.close(TENANT)

    with pytest.raises(InvalidMessage):
        await handled(world, record)


async def test_only_a_bearer_s_token_counts(world: World) -> None:
    """A right token by another scheme, or behind more than a token may be."""
    right = token(world)
    for text in (f"Basic {right}", f"Bearer {right}{' ' * MAX_TOKEN_BYTES}"):
        record = world.record(dumped(), headers(world, authorization=text.encode()))
        with pytest.raises(InvalidMessage):
            await handled(world, record)


async def test_a_backlog_expires_no_token(world: World) -> None:
    record = world.record(dumped(), headers(world))
    world.clock.elapsed += timedelta(hours=5)

    (out,) = await handled(world, record)

    assert out.topic is REQUESTS_ACCEPTED


async def test_a_producers_own_clock_counts_for_nothing(world: World) -> None:
    record = world.record(dumped(), headers(world), appended=False)
    with pytest.raises(IntegrityError, match="LogAppendTime"):
        await handled(world, record)

    assert {} == world.requests.rows


async def test_revocation_is_judged_now(world: World) -> None:
    record = world.record(dumped(), headers(world))
    world.clock.elapsed += timedelta(minutes=1)
    world.credentials.revoke(CLIENT, world.clock.now())

    assert "credential_revoked" == rejection(await handled(world, record)).data.status


@pytest.mark.parametrize("bad", [None, b"", b"a b", b"\xff", b"x" * 256])
async def test_without_an_id_of_its_own_a_record_is_rejected(
    world: World, bad: bytes | None
) -> None:
    record = world.record(dumped(), headers(world, ce_id=bad))
    told = rejection(await handled(world, record))

    assert ("event_id_invalid", None) == (told.data.status, told.data.request_id)


async def test_a_plain_id_header_will_do(world: World) -> None:
    plain = headers(world, ce_id=None, id=b"order-9")

    (out,) = await handled(world, world.record(dumped(), plain))

    assert request_id("order-9") == out.event.attributes.subject


@pytest.mark.parametrize(
    ("value", "status", "paths"),
    [
        (None, "invalid_request", ["body"]),
        (b"{", "invalid_request", ["body"]),
        (dumped(model=CANARY), "unknown_model", []),
        (dumped(model=7, messages=CANARY), "invalid_request", ["model", "messages"]),
        (dumped(stream=True), "stream_unsupported", []),
        (b" " * (2 * 1024 * 1024 + 1), "body_too_large", []),
    ],
)
async def test_what_is_wrong_is_told_by_paths(
    world: World, value: bytes | None, status: str, paths: Sequence[str]
) -> None:
    told = rejection(await handled(world, world.record(value, headers(world))))

    assert (status, request_id()) == (told.data.status, told.data.request_id)
    assert paths == [decision.rule for decision in told.data.decision]
    assert CANARY not in told.data.model_dump_json()
    assert await world.requests.get(TENANT, request_id()) is None


async def test_without_the_capability_nothing_is_accepted(world: World) -> None:
    principal = world.principal(f"client:{CLIENT}", capabilities=[READ])
    world.credentials.put_client(CLIENT, "x", principal)

    told = rejection(await handled(world, world.record(dumped(), headers(world))))

    assert "forbidden" == told.data.status


async def test_records_judged_anew_contradict_nothing_in_the_ledger(
    world: World,
) -> None:
    """A token was revoked meanwhile: the ledger takes both records, and repeats."""
    record = world.record(dumped(model="later"), headers(world))
    first = rejection(await handled(world, record))
    repeated = rejection(await handled(world, record))
    world.credentials.revoke(CLIENT, world.clock.now())
    revoked = rejection(await handled(world, record))

    appended = await world.ledger.append([first, repeated, revoked])

    assert ({first.attributes.id, revoked.attributes.id}, 1) == (
        set(appended.places),
        appended.repeats,
    )
    assert first.attributes.id == repeated.attributes.id != revoked.attributes.id


async def test_checks_that_changed_meanwhile_contradict_nothing(world: World) -> None:
    """A version rejected it and died; the next one looks for something else first."""
    record = world.record(dumped(), headers(world))
    found = [
        rejected(
            record,
            Refused(No.INVALID_REQUEST, (path,)),
            tenant=TENANT,
            actor=Actor(f"client:{CLIENT}"),
            request=request_id(),
            source="/sluice/admission",
            now=world.clock.now(),
        ).event
        for path in ("messages: expected less", "messages: expected less", "body: none")
    ]

    appended = await world.ledger.append(found)

    assert (2, 1) == (len(appended.places), appended.repeats)


async def test_a_rejected_record_can_be_looked_up(world: World) -> None:
    record = world.record(dumped(messages=7), headers(world))
    await world.ledger.append([rejection(await handled(world, record))])
    async with world.client(authorization=f"Bearer {world.key()}") as client:
        by_id = await client.get(f"/v1/requests/{request_id()}")
        query = {"client_id": CLIENT, "event_id": "order-1"}
        by_event = await client.get("/v1/requests", params=query)

    assert ("rejected", "invalid_request") == (
        by_id.json()["state"],
        by_id.json()["reason"],
    )
    assert ["messages"] == [each["rule"] for each in by_id.json()["decisions"]]
    assert by_id.json() == by_event.json()


async def test_a_rejected_event_may_be_sent_again_corrected(world: World) -> None:
    wrong = world.record(dumped(messages=7), headers(world))
    rejection(await handled(world, wrong))

    (out,) = await handled(world, world.record(dumped(), headers(world), offset=8))

    assert out.topic is REQUESTS_ACCEPTED


async def test_an_answer_that_nobody_waits_for_is_kept_a_day(world: World) -> None:
    transient = PolicyDocument(version=2, retention_class="transient")
    world.tenants.put(TENANT, "live", ROUTES, transient)

    (out,) = await handled(world, world.record(dumped(), headers(world)))

    assert "1d" == out.event.data.terms.retention.retention_class


async def test_a_batch_keeps_its_order_and_its_neighbours(world: World) -> None:
    records = [
        world.record(
            dumped() if number % 2 else b"{",
            headers(world, ce_id=str(number).encode()),
            offset=number,
        )
        for number in range(6)
    ]

    outs = await handled(world, *records)

    assert [request_id(str(number)) for number in range(6)] == [
        out.event.attributes.subject for out in outs
    ]
    assert [AUDIT_RECORDED, REQUESTS_ACCEPTED] * 3 == [out.topic for out in outs]


async def test_the_first_of_two_headers_of_one_name_counts(world: World) -> None:
    twice = (("CE_ID", b"order-2"), ("ce_id", b"order-3"))
    good = tuple(headers(world, ce_id=None).items())[:1]
    record = world.record(dumped(), {})
    doubled = Record(
        topic=record.topic,
        partition=0,
        offset=0,
        key=None,
        value=dumped(),
        headers=(*good, *twice),
        timestamp_ms=record.timestamp_ms,
        appended=True,
    )

    (out,) = await handled(world, doubled)

    assert request_id("order-2") == out.event.attributes.subject


@pytest.mark.parametrize(
    ("given", "goes_on"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c", False),
    ],
)
async def test_a_trace_goes_on_where_it_is_one(
    world: World, given: str, *, goes_on: bool
) -> None:
    sent = headers(world, traceparent=given.encode())
    (out,) = await handled(world, world.record(dumped(), sent))
    origin = out.event.attributes.origin

    assert goes_on == (given == origin)
    assert "0" * 16 not in (origin or "")
