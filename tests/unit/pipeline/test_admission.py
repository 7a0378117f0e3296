"""Who may send what."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.admission import (
    API_AUDIENCE,
    INBOX_AUDIENCE,
    LEEWAY,
    MAX_BODY_BYTES,
    MAX_ERRORS,
    MAX_STRINGS,
    READ,
    SEND,
    Draft,
    No,
    Refused,
    draft,
    retention_class,
    stands,
)
from pipeline.ports.tenants import Principal, TenantTerms
from pipeline.ports.tokens import Claims
from pipeline.rejections import decisions
from schemas.audit import MAX_DECISIONS
from schemas.ids import Actor, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import Dialect, PolicyRef, Route

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TENANT = TenantId("018f3c1a-7c00-7000-8000-000000000001")
ROUTE = Route(provider="stand-in", model="echo-1")
TERMS = TenantTerms(
    tenant_id=TENANT,
    routes={"echo": ROUTE, "other": ROUTE},
    policy=PolicyDocument(),
    policy_ref=PolicyRef(id="default", version=1, sha256="0" * 64),
)
CLAIMS = Claims(
    tenant_id=TENANT,
    client_id="client-1",
    environment="live",
    audience=INBOX_AUDIENCE,
    scope=frozenset({"inbox"}),
    issued_at=NOON,
    expires_at=NOON + timedelta(hours=1),
)


def principal(
    capabilities: frozenset[str] = frozenset({SEND}),
    routes: frozenset[str] | None = None,
) -> Principal:
    return Principal(
        tenant_id=TENANT,
        actor=Actor("key:1"),
        environment="live",
        capabilities=capabilities,
        routes=routes,
        authenticated_at=NOON,
        methods=("api_key",),
    )


def drafted(who: Principal | None = None, **fields: Any) -> Draft | Refused:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}], **fields}
    raw = json.dumps(body).encode()
    return draft(raw, Dialect.OPENAI_CHAT, who or principal(), TERMS)


def test_a_body_on_a_route_of_its_sender_is_a_draft() -> None:
    made = drafted(principal(routes=frozenset({"echo"})), user="u-1")

    assert isinstance(made, Draft)
    assert ("echo", ROUTE, "u-1") == (made.model, made.route, made.person)
    assert "u-1" not in repr(made)
    assert "hi" not in repr(made)


@pytest.mark.parametrize(
    ("who", "fields", "expected"),
    [
        (principal(frozenset({READ})), {}, Refused(No.FORBIDDEN)),
        (None, {"model": "unheard-of"}, Refused(No.UNKNOWN_MODEL)),
        (principal(routes=frozenset({"other"})), {}, Refused(No.UNKNOWN_MODEL)),
        (principal(routes=frozenset()), {}, Refused(No.UNKNOWN_MODEL)),
        (None, {"stream": True}, Refused(No.STREAM_UNSUPPORTED)),
        (
            None,
            {"logprobs": True, "top_logprobs": 3},
            Refused(
                No.UNSUPPORTED,
                ("logprobs: expected false", "top_logprobs: expected null"),
            ),
        ),
        (
            None,
            {"n": "many", "stream": 1},
            Refused(
                No.INVALID_REQUEST,
                ("stream: expected a boolean", "n: expected an integer"),
            ),
        ),
    ],
)
def test_what_is_refused_and_why(
    who: Principal | None, fields: dict[str, Any], expected: Refused
) -> None:
    assert expected == drafted(who, **fields)


def test_a_model_of_others_and_none_at_all_are_refused_alike() -> None:
    hidden = drafted(principal(routes=frozenset({"other"})))

    assert hidden == drafted(model="unheard-of")


def test_errors_are_no_more_than_somebody_reads() -> None:
    refused = drafted(messages=[7] * 1000)

    assert isinstance(refused, Refused)
    assert MAX_ERRORS == len(refused.errors)


def test_a_body_may_have_two_mebibytes_and_no_more() -> None:
    limit = b" " * MAX_BODY_BYTES
    answers = [
        draft(raw, Dialect.OPENAI_CHAT, principal(), TERMS)
        for raw in (limit, limit + b" ")
    ]

    assert [No.INVALID_REQUEST, No.BODY_TOO_LARGE] == [
        each.why for each in answers if isinstance(each, Refused)
    ]


def test_nor_more_when_it_is_written_out() -> None:
    numbers = b",".join([b"1e15"] * 120_000)
    raw = b'{"x":[%b],"model":"echo","messages":[{"role":"user"}]}' % numbers

    assert len(raw) < MAX_BODY_BYTES
    assert Refused(No.BODY_TOO_LARGE) == draft(
        raw, Dialect.OPENAI_CHAT, principal(), TERMS
    )


@pytest.mark.parametrize(
    "strings", [["a"] * MAX_STRINGS, [{"x": ["a"]}] * MAX_STRINGS, "a"]
)
def test_a_body_holds_no_more_strings_than_can_be_looked_at(strings: Any) -> None:
    """The model, the role and the content are strings too."""
    fields = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
    raw = orjson.dumps({**fields, "x": strings})
    made = draft(raw, Dialect.OPENAI_CHAT, principal(), TERMS)

    if strings == "a":
        assert isinstance(made, Draft)
    else:
        told = f"body: expected at most {MAX_STRINGS} strings"
        assert Refused(No.INVALID_REQUEST, (told,)) == made


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    made = draft(raw, Dialect.OPENAI_CHAT, principal(), TERMS)

    assert made == draft(raw, Dialect.OPENAI_CHAT, principal(), TERMS)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-31, No.CREDENTIAL_EXPIRED),
        (-30, None),
        (0, None),
        (3600 + 29, None),
        (3600 + 30, No.CREDENTIAL_EXPIRED),
    ],
)
def test_a_token_stands_in_its_time_and_thirty_seconds_around(
    seconds: int, expected: No | None
) -> None:
    assert timedelta(seconds=30) == LEEWAY
    assert expected == stands(CLAIMS, INBOX_AUDIENCE, NOON + timedelta(seconds=seconds))


def test_a_token_opens_one_way_in() -> None:
    assert No.CREDENTIAL_WRONG_AUDIENCE == stands(CLAIMS, API_AUDIENCE, NOON)


@pytest.mark.parametrize("named", ["1d", "30d", "365d"])
def test_the_policy_says_how_long_content_lives(named: str) -> None:
    policy = PolicyDocument(retention_class=named)

    assert named == retention_class(policy, waits=True).name
    assert named == retention_class(policy, waits=False).name


def test_an_answer_that_nobody_waits_for_is_kept_a_day() -> None:
    policy = PolicyDocument(retention_class="transient")

    assert "transient" == retention_class(policy, waits=True).name
    assert "1d" == retention_class(policy, waits=False).name


def test_paths_become_rules_once_each_and_values_never() -> None:
    errors = (
        "messages.0.role: expected one of user",
        "messages.0.role: expected something else",
        "Idempotency-Key: expected less",
        *(f"messages.{nth}: expected an object" for nth in range(100)),
    )
    found = decisions(errors)

    assert MAX_DECISIONS == len(found)
    assert ["messages.0.role", "messages.0"] == [each.rule for each in found[:2]]
