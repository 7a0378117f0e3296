"""Logs over HTTP, and the proofs that a tenant takes away."""

import csv
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from infra.exports import NamedKeys, vkeys
from infra.log import Log
from infra.memory.anchors import MemoryAnchors
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.anchors.rooting import RootProof, verify_root
from pipeline.audit import ROOT, Entry, record
from pipeline.checkpoint import open_checkpoint, parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES, leaf_hash, root_of
from pipeline.passes import Refused
from pipeline.proofs import TlogProof, parse_proof, prove, verify_proof
from pipeline.root import commitment
from pipeline.tiles import split, tiles_of, unbundle
from producers.checkpointer import Checkpointer
from producers.evidence import evidence
from producers.faults import CREDENTIAL_INVALID, Fault
from producers.gateway.edge import Edge
from schemas.ids import TenantId
from tests.support.audit import NOON, OTHER, TENANT, recorded

SIZE = 301
CALLERS: dict[str, Collection[TenantId]] = {
    "one": (TENANT,),
    "two": (OTHER,),
    "operator": (ROOT,),
    "nobody": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Two tenants' logs with checkpoints, the root log, and a client."""

    ledger: MemoryLedger
    keys: PublicKeys
    checkpointer: Checkpointer
    http: httpx.AsyncClient

    async def get(self, path: str, caller: str = "one") -> httpx.Response:
        tenant = next(iter(CALLERS.get(caller, ())), TENANT)
        log = await self.log_id(tenant)
        return await self.http.get(f"/{log}/{path}", headers={"caller": caller})

    async def log_id(self, tenant: TenantId) -> str:
        head = await self.ledger.head(tenant)
        assert head is not None
        return head.origin.rpartition("/")[2]


async def readable(request: Request) -> Collection[TenantId] | Fault:
    return CALLERS.get(request.headers.get("caller", ""), CREDENTIAL_INVALID)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    ledger, clock = MemoryLedger("test.example", SystemEntropy()), SystemClock()
    keys = ensure_key(tmp_path, bytes(32), NOON)
    checkpointer = Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(tmp_path, clock),
        state=FileState(tmp_path / STATE),
        clock=clock,
        log=Log("test"),
    )
    await ledger.append([recorded(str(each)) for each in range(SIZE - 1)])
    await ledger.append([recorded("a", tenant=OTHER)])
    await checkpointer.round()
    app = evidence(ledger, readable, MemoryAnchors(), partial(vkeys, keys))
    transport = httpx.ASGITransport(app=Edge(app, SystemEntropy()))
    async with httpx.AsyncClient(transport=transport, base_url="http://log") as http:
        yield Scene(ledger=ledger, keys=keys, checkpointer=checkpointer, http=http)


async def test_a_log_is_rebuilt_from_what_is_served(scene: Scene) -> None:
    served = await scene.get("checkpoint")
    origin = parse_note(served.text).origin
    checkpoint = open_checkpoint(served.text, scene.keys.named(origin))

    parts = {tile: await scene.get(tile.path) for tile in tiles_of(checkpoint.size)}

    assert {200} == {part.status_code for part in parts.values()}
    hashes = [p.content for tile, p in parts.items() if tile.level == 0]
    bundles = [p.content for tile, p in parts.items() if tile.level is None]
    leaves = split(b"".join(hashes))
    entries = [each for joined in bundles for each in unbundle(joined)]
    assert SIZE == len(entries) == checkpoint.size
    assert [leaf_hash(each) for each in entries] == leaves
    assert checkpoint.root == root_of(leaves)


async def test_what_is_served_says_how_long_it_stands(scene: Scene) -> None:
    checkpoint, tile = await scene.get("checkpoint"), await scene.get("tile/0/000")

    assert "text/plain; charset=utf-8" == checkpoint.headers["content-type"]
    assert "private, max-age=5" == checkpoint.headers["cache-control"]
    assert "application/octet-stream" == tile.headers["content-type"]
    assert "immutable" in tile.headers["cache-control"]
    assert 8192 == len(tile.content)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",
        "tile/0/001.p/46",
        "tile/0/001.p/0",
        "tile/0/000.p/256",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/001.p/46",
        "tile/0/0",
        f"proof/{SIZE}",
        "proof/x",
        "",
        "keys",
    ],
)
async def test_what_is_not_there_is_not_found(scene: Scene, path: str) -> None:
    assert 404 == (await scene.get(path)).status_code


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1", "tile/entries/000"]
)
async def test_a_tile_that_is_not_all_there_is_not_served(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Its answer says that it never changes: whoever got a part would keep that."""
    hashes, read = MemoryLedger.hashes, MemoryLedger.read

    async def fewer_hashes(*asked: Any) -> bytes:
        return (await hashes(*asked))[:-HASH_BYTES]

    async def fewer_rows(*asked: Any) -> Sequence[Entry]:
        return (await read(*asked))[:-1]

    monkeypatch.setattr(MemoryLedger, "hashes", fewer_hashes)
    monkeypatch.setattr(MemoryLedger, "read", fewer_rows)

    with pytest.raises(Refused, match="missing"):
        await scene.get(path)


async def test_partials_of_every_size_stay_served(scene: Scene) -> None:
    await scene.ledger.append([recorded("more")])
    await scene.checkpointer.round()

    for path in ("tile/0/001.p/45", "tile/0/001.p/46", "tile/entries/001.p/45"):
        assert 200 == (await scene.get(path)).status_code


async def test_a_log_is_its_readers_alone(scene: Scene) -> None:
    one = await scene.log_id(TENANT)
    root = await scene.log_id(ROOT)
    asked = {
        (log, caller): await scene.http.get(
            f"/{log}/checkpoint", headers={"caller": caller}
        )
        for log in (one, root)
        for caller in ("one", "two", "operator", "nobody", "stranger")
    }

    allowed = {pair for pair, answer in asked.items() if answer.status_code == 200}
    assert {(one, "one"), (root, "operator")} == allowed
    stranger = asked[one, "stranger"]
    told = stranger.json()
    assert (401, "credential-invalid") == (stranger.status_code, told["code"])
    assert stranger.headers["x-request-id"] == told["request_id"]
    assert "Bearer" == stranger.headers["www-authenticate"]
    foreign = asked[one, "two"]
    unknown = await scene.http.get("/0/checkpoint", headers={"caller": "two"})
    assert (404, foreign.content) == (unknown.status_code, unknown.content)
    assert "application/problem+json" == foreign.headers["content-type"]


@pytest.mark.parametrize("seq", [str(SIZE), "-1", "1e1", "\u0663", "9" * 17, ""])
async def test_there_is_no_proof_of_what_is_no_place(scene: Scene, seq: str) -> None:
    assert 404 == (await scene.get(f"proof/{seq}")).status_code


@pytest.mark.parametrize("seq", [0, 255, 256, SIZE - 1])
async def test_a_proof_is_verified_offline(scene: Scene, seq: int) -> None:
    (entry,) = await scene.ledger.read(TENANT, seq, 1)
    proof = parse_proof((await scene.get(f"proof/{seq}")).text)
    keys = scene.keys.named(parse_note(proof.note).origin)

    signed = verify_proof(proof, entry.body, keys)

    assert (SIZE, seq) == (signed.size, proof.index)
    with pytest.raises(InvalidMessage):
        verify_proof(proof, entry.body + b" ", keys)
    with pytest.raises(InvalidMessage):
        verify_proof(TlogProof(seq ^ 1, proof.hashes, proof.note), entry.body, keys)
    with pytest.raises(InvalidMessage):
        verify_proof(proof, entry.body, keys[:0])


@pytest.mark.parametrize(
    "bend",
    [
        ("@v1", "@v2"),
        ("index 5", "index 05"),
        ("index 5", "index -5"),
        ("index 5", ""),
        ("\n\n", "\n"),
        ("=\n", "\n"),
    ],
)
def test_a_malformed_proof_is_refused(bend: tuple[str, str]) -> None:
    text = TlogProof(5, (bytes(32),), "note\n").text

    assert TlogProof(5, (bytes(32),), "note\n") == parse_proof(text)
    assert parse_proof(text) == parse_proof(text.replace("@v1\n", "@v1\nextra YQ==\n"))
    with pytest.raises(InvalidMessage):
        parse_proof(text.replace(*bend))


async def test_a_tenant_shows_that_there_is_one_history(scene: Scene) -> None:
    """Record, tenant's checkpoint, salt, root record, root checkpoint."""
    note = await scene.ledger.latest(TENANT)
    root_note = await scene.ledger.latest(ROOT)
    assert note is not None
    assert root_note is not None
    rooted = await scene.ledger.rooted(TENANT, SIZE)
    assert rooted is not None
    (leaf,) = await scene.ledger.read(ROOT, rooted.seq, 1)
    proof = await prove(
        scene.ledger, ROOT, rooted.seq, parse_note(root_note), root_note
    )

    assert commitment(rooted.salt, note) == record(leaf.body).commit
    assert commitment(bytes(32), note) != record(leaf.body).commit
    keys = scene.keys.named("ledger.test.example/root")
    assert parse_note(root_note) == verify_proof(proof, leaf.body, keys)


async def test_the_root_says_how_many_logs_there_are(scene: Scene) -> None:
    beats = [
        found.heartbeat
        for found in (record(e.body) for e in await scene.ledger.read(ROOT, 0, 99))
        if found.heartbeat
    ]

    assert [2] == [beat.logs for beat in beats]
    await scene.checkpointer.round()
    head = await scene.ledger.head(ROOT)
    assert head is not None
    root_note = await scene.ledger.latest(ROOT)
    assert root_note is not None
    assert head.size == parse_note(root_note).size == 6


async def records(scene: Scene, query: str, caller: str = "one") -> httpx.Response:
    return await scene.get(f"records?{query}", caller)


def seqs(answer: httpx.Response) -> list[int]:
    assert 200 == answer.status_code, answer.text
    return [record(line).seq for line in answer.content.splitlines()]


async def test_records_are_asked_for_a_page_at_a_time(scene: Scene) -> None:
    found = list[int]()
    path = "records?limit=97&action=request.screened"
    while path:
        answer = await scene.get(path)
        found += seqs(answer)
        following = answer.links.get("next", {}).get("url", "")
        path = following.rpartition("/")[2]

    assert list(range(1, SIZE)) == found


async def test_records_are_the_exact_bytes_and_can_be_proved(scene: Scene) -> None:
    answer = await records(scene, "after=6&limit=1")
    proof = parse_proof((await scene.get("proof/7")).text)
    origin = parse_note(proof.note).origin

    signed = verify_proof(proof, answer.content[:-1], scene.keys.named(origin))

    assert SIZE == signed.size
    assert [7] == seqs(answer)


async def test_records_as_a_table(scene: Scene) -> None:
    answer = await records(scene, "format=csv&limit=2")

    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert ["log.created", "request.screened"] == [row["action"] for row in rows]


async def test_what_no_checkpoint_counts_is_not_told(scene: Scene) -> None:
    await scene.ledger.append([recorded("late")])

    assert [] == seqs(await records(scene, f"after={SIZE - 1}"))


async def test_records_of_another_tenant_are_not_there(scene: Scene) -> None:
    log = await scene.log_id(OTHER)

    answer = await scene.http.get(f"/{log}/records", headers={"caller": "one"})

    assert 404 == answer.status_code


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=-2",
        "request=x",
        "since=yesterday",
        "until=2026-01-01T00:00:00",
        "format=xml",
        "actor=a&actor=b",
        "unknown=1",
        "since=0001-01-01T00:00:00%2B10:00",
        "until=9999-12-31T23:59:59-10:00",
        "actor=%00",
        "action=",
        "action=a%20b",
    ],
)
async def test_an_unfit_question_is_refused_by_name(scene: Scene, query: str) -> None:
    answer = await records(scene, query)

    assert 422 == answer.status_code
    (error,) = answer.json()["errors"]
    assert error.startswith((query.partition("=")[0], "query"))


async def test_a_caller_learns_which_logs_it_may_read(scene: Scene) -> None:
    (mine,) = (await scene.http.get("/", headers={"caller": "one"})).json()
    nobody = await scene.http.get("/", headers={"caller": "nobody"})
    stranger = await scene.http.get("/")

    assert await scene.log_id(TENANT) == mine["id"]
    assert SIZE == mine["size"]
    assert [] == nobody.json()
    assert 401 == stranger.status_code


async def test_the_way_to_the_root_log_is_served(scene: Scene) -> None:
    answer = (await scene.get("root")).json()
    note = (await scene.get("checkpoint")).text
    proof = parse_proof(answer["proof"])
    root = scene.keys.named(parse_note(proof.note).origin)
    found = RootProof(
        answer["size"],
        bytes.fromhex(answer["salt"]),
        answer["record"].encode(),
        proof,
        (),
    )

    assert parse_note(proof.note) == verify_root(found, note, root)
    with pytest.raises(InvalidMessage):
        verify_root(found, note + "x", root)
    with pytest.raises(InvalidMessage):
        verify_root(replace(found, salt=bytes(32)), note, root)


async def test_the_keys_of_a_log_are_told_to_who_may_read_it(scene: Scene) -> None:
    answer = await scene.get("vkeys.json")

    keys = NamedKeys.model_validate_json(answer.text).parsed()
    signed = open_checkpoint((await scene.get("checkpoint")).text, keys)
    assert SIZE == signed.size
    assert 401 == (await scene.get("vkeys.json", "stranger")).status_code
    assert 404 == (await scene.get("vkeys.json", "nobody")).status_code
