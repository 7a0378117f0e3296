"""A request is forgotten on order: unreadable, receipted, and told by the ledger."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import jwt
import pytest
from openai import OpenAI

from demo.launch import Access, Sluice
from infra.signer.ed25519 import public_keys
from pipeline.checkpoint import parse_note
from pipeline.errors import InvalidMessage
from pipeline.proofs import parse_proof, verify_proof

pytestmark = pytest.mark.e2e

PERSON = "customer-1207"


def document(access: Access, request: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {access.api_key}"}
    url = f"{access.gateway}/v1/requests/{request}"
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def asked(access: Access, **more: Any) -> str:
    with OpenAI(base_url=access.gateway + "/v1", api_key=access.api_key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="echo", messages=[{"role": "user", "content": "Remember me"}], **more
        )
    return str(raw.headers["x-request-id"])


def until(access: Access, request: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + 40
    while (found := document(access, request))["answer_state"] not in states:
        assert time.monotonic() < deadline, found["answer_state"]
        time.sleep(0.2)
    return found


def forgotten(access: Access, request: str) -> None:
    """An order deletes the rows too: then the ledger alone tells the story."""
    assert until(access, request, "destroyed", "none")["answer"] is None


@pytest.fixture
def keeper(sluice: tuple[Sluice, Access], tmp_path: Path) -> tuple[Sluice, Access]:
    """A tenant that keeps content for a day."""
    made, _ = sluice
    access = made.onboard("Keeper", ("echo",))
    policy = made.ask("policy", "show", "--tenant", access.tenant_id)
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({**policy, "retention_class": "1d"}))
    made.ask("policy", "set", "--tenant", access.tenant_id, str(file))
    time.sleep(5.1)  # what gateways know of a policy is that old at most
    return made, access


def test_by_default_content_is_gone_once_the_caller_has_its_answer(
    access: Access,
) -> None:
    until(access, asked(access), "destroyed")


def test_a_request_is_forgotten_on_order_and_its_neighbour_is_not(
    keeper: tuple[Sluice, Access], tmp_path: Path
) -> None:
    made, access = keeper
    tenant = ("--tenant", access.tenant_id)
    request, neighbour = asked(access), asked(access)
    until(access, request, "available")

    job = made.ask("erase", "request", *tenant, request)["job"]
    forgotten(access, request)

    until(access, neighbour, "available")
    (receipt,) = [r for r in receipted(made, tenant) if r["job"] == job]
    claims = jwt.decode(receipt["jws"], options={"verify_signature": False})
    assert "request" == claims["scope"]["kind"]
    assert 1 == len(claims["keys"])
    proved(made, tenant, job, claims["ledger"]["event_id"])
    story = made.run("audit", "show", request, *tenant, "--raw").stdout
    assert "erasure.completed" in story
    assert 0 == made.run("audit", "verify", *tenant).returncode


def proved(made: Sluice, tenant: tuple[str, ...], job: str, event: str) -> None:
    """The record that a receipt names is proved beside it, once it is signed for."""
    deadline = time.monotonic() + 40
    while "proof" not in (
        found := next(r for r in made.ask("receipts", *tenant) if r["job"] == job)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    proof, record = parse_proof(found["proof"]), found["record"].encode()
    keys = public_keys(made.root / "signer")
    named = keys.named(parse_note(proof.note).origin)

    assert json.loads(record)["event_id"] == event
    assert verify_proof(proof, record, named).size > proof.index
    with pytest.raises(InvalidMessage):
        verify_proof(
            proof, record.replace(b"erasure.completed", b"erasure.complete!"), named
        )


def receipted(made: Sluice, tenant: tuple[str, ...]) -> list[dict[str, str]]:
    deadline = time.monotonic() + 30
    while not (found := made.ask("receipts", *tenant)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return list(found)


def test_a_person_is_forgotten_in_all_requests_that_named_them(
    keeper: tuple[Sluice, Access],
) -> None:
    made, access = keeper
    theirs = [asked(access, user=PERSON), asked(access, safety_identifier=PERSON)]
    other = asked(access, user="somebody else")
    for request in (*theirs, other):
        until(access, request, "available")

    made.ask("erase", "subject", "--tenant", access.tenant_id, PERSON)

    for request in theirs:
        forgotten(access, request)
    until(access, other, "available")
