"""A log verified over HTTP, with a credential of its tenant and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from demo.stack.ports import free_port
from infra.exports import vkeys
from infra.served import ServedLogs, serving_logs
from infra.server import serving
from infra.signer.ed25519 import PublicKeys
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.merkle import HASH_BYTES
from pipeline.passes import Report, full_pass
from producers.cli.audit import audit
from producers.cli.judging import Trust, verify_one
from producers.evidence import evidence
from producers.faults import CREDENTIAL_INVALID, Fault
from producers.gateway.edge import Edge
from schemas.ids import TenantId
from tests.support.audit import TENANT
from tests.support.exports import SIZE, signed

pytestmark = pytest.mark.integration
CREDENTIAL = "made-up-for-this-test"


async def readable(request: Request) -> Collection[TenantId] | Fault:
    known = request.headers.get("authorization") == f"Bearer {CREDENTIAL}"
    return (TENANT,) if known else CREDENTIAL_INVALID


@dataclass
class Gateway:
    """Serves a signed log that grew since; answers can be bent on their way."""

    url: str
    keys: PublicKeys
    bent: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def bend(self, path: str, at: int) -> None:
        """Flip a bit of the answer whose path ends so."""
        self.bent[path] = at


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    ledger, keys = await signed(tmp_path)
    served = evidence(ledger, readable, vkeys=partial(vkeys, keys))
    app = Edge(served, SystemEntropy())
    port = free_port()
    made = Gateway(f"http://127.0.0.1:{port}", keys)

    async def bending(scope: Scope, receive: Receive, send: Send) -> None:
        made.asked.append(scope["path"])
        ends = [at for end, at in made.bent.items() if scope["path"].endswith(end)]

        async def passed(message: dict[str, object]) -> None:
            body = message.get("body")
            if ends and isinstance(body, bytes) and body:
                flipped = bytearray(body)
                flipped[ends[0]] ^= 1
                message = {**message, "body": bytes(flipped)}
            await send(message)

        await app(scope, receive, passed)  # type: ignore[arg-type]

    async with serving(bending, "127.0.0.1", port):
        await answering(made.url)
        yield made


async def answering(url: str) -> None:
    """Wait until the server listens."""
    for _ in range(200):
        try:
            async with serving_logs(url, CREDENTIAL) as logs:
                await logs.tenants()
        except RetryableError:
            await SystemClock().sleep(0.05)
        except InvalidMessage:
            return
        else:
            return
    raise AssertionError("the server does not answer")


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[tuple[ServedLogs, TenantId]]:
    async with serving_logs(gateway.url, CREDENTIAL) as logs:
        (tenant,) = await logs.tenants()
        yield logs, tenant


async def judged(gateway: Gateway) -> Report:
    async with served(gateway) as (logs, tenant):
        keys = await logs.keys(tenant)
        report = await full_pass(logs, tenant, keys)
    assert report is not None
    return report


async def test_what_is_served_holds_up_to_its_checkpoint(gateway: Gateway) -> None:
    report = await judged(gateway)

    assert (SIZE, 1, None) == (report.size, report.checkpoints, report.broken)
    # Each part is fetched once, though a pass asks for it again.
    parts = [path for path in gateway.asked if path != "/"]
    assert sorted(set(parts)) == sorted(parts)


@pytest.mark.parametrize(
    ("path", "at", "seq"),
    [
        ("tile/entries/001", 5_000, None),
        ("tile/0/000", 7 * HASH_BYTES, 7),
        ("tile/0/002.p/89", 0, 512),
    ],
)
async def test_what_was_bent_on_its_way_is_told(
    gateway: Gateway, path: str, at: int, seq: int | None
) -> None:
    gateway.bend(path, at)

    report = await judged(gateway)

    assert report.broken is not None
    assert seq in {None, report.broken.seq}
    assert 0 <= report.broken.seq < SIZE


async def test_the_command_s_verdict_is_by_given_keys(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(gateway) as (logs, tenant):
        head = await logs.head(tenant)
        assert head is not None
        mine = tmp_path / "vkeys.json"
        mine.write_text(vkeys(gateway.keys, head.origin))
        held = await verify_one(logs, None, tenant, Trust(served=logs, keys=mine))
        said = capsys.readouterr()

    assert held
    assert f"{SIZE} records" in said.out
    assert not said.err


@asynccontextmanager
async def hostile(answers: Mapping[str, str]) -> AsyncIterator[ServedLogs]:
    """A gateway that says what it likes, by the end of the path."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        ends = [text for end, text in answers.items() if scope["path"].endswith(end)]
        answer = Response(ends[0] if ends else "", 200 if ends else 404)
        await answer(scope, receive, send)

    port = free_port()
    async with serving(app, "127.0.0.1", port):
        await answering(f"http://127.0.0.1:{port}")
        async with serving_logs(f"http://127.0.0.1:{port}", CREDENTIAL) as logs:
            yield logs


NOTE = "ledger.test.example/x\n0\nAAAA\n\n\u2014 ledger.test.example/x AAAAAAAA\n"


async def test_a_checkpoint_of_no_records_is_told() -> None:
    """There is no last record to ask for."""
    async with hostile({"/x/checkpoint": NOTE, "/": "[]"}) as logs:
        with pytest.raises(InvalidMessage):
            await logs.read(TenantId("x"), 0, 1)
        with pytest.raises(InvalidMessage):
            await logs.head(TenantId("x"))


@pytest.mark.parametrize(
    "listed",
    [
        "<html>",
        "7",
        "[7]",
        '{"id": "x"}',
        '[{"name": "x"}]',
        '[{"id": "../x"}]',
        '[{"id": ""}]',
        '[{"id": "x?y"}]',
    ],
)
async def test_what_is_no_list_of_logs_is_told(listed: str) -> None:
    async with hostile({"/": listed}) as logs:
        with pytest.raises(InvalidMessage):
            await logs.tenants()


async def test_a_kept_checkpoint_of_another_log_is_told(
    gateway: Gateway, tmp_path: Path
) -> None:
    other, _ = await signed(tmp_path / "other")
    own, kept = tmp_path / "credential", tmp_path / "kept"
    own.write_text(CREDENTIAL)
    kept.write_text(await other.latest(TENANT) or "")
    command = ["verify", "--url", gateway.url, "--credential-file", str(own)]

    results = [
        await asyncio.to_thread(CliRunner().invoke, audit, [*command, *words])
        for words in ([], ["--known", str(kept)], ["--since", str(kept)])
    ]

    assert [0, 1, 1] == [each.exit_code for each in results]
    assert "it was signed, and is not here" in results[1].output


async def test_a_stranger_is_told_so(gateway: Gateway) -> None:
    async with serving_logs(gateway.url, "another") as logs:
        with pytest.raises(LookupError, match="may this credential read"):
            await logs.tenants()


async def test_where_there_is_nothing_the_address_is_asked_for() -> None:
    """The root of a gateway, or one log's address: the credential may be good."""
    async with hostile({"/": "[]"}) as logs:
        with pytest.raises(LookupError, match="https://host/ledger"):
            await logs.keys(TENANT)


async def test_a_gateway_that_is_away_cannot_be_told() -> None:
    async with serving_logs("http://127.0.0.1:1", CREDENTIAL) as logs:
        with pytest.raises(RetryableError):
            await logs.tenants()
