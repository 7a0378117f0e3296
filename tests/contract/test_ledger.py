"""What every ledger must do: the twin and Postgres."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import chain
from typing import Any

import asyncpg
import pytest
from typing_extensions import override

from demo.stack import Stack
from infra.memory.ledger import MemoryLedger
from pipeline.audit import empty, record
from pipeline.checkpoint import Checkpoint, VerifyKey, sign
from pipeline.coverage import INCIDENT
from pipeline.errors import IntegrityError, InvalidMessage, LogClosed, RetryableError
from pipeline.merkle import root_between
from pipeline.ports.ledger import PORTION, Deleted, SourceOffsets
from pipeline.proofs import TlogProof
from pipeline.querying import MAX_PAGE, Query
from pipeline.root import Rooted
from pipeline.sequencing import SECOND_TERMINAL, Place
from pipeline.tiles import nodes_from
from pipeline.verification import Verified, verify
from schemas.audit import (
    CLOSED,
    MAX_DECISIONS,
    MAX_RECORD_BYTES,
    TERMINAL,
    ContentCommitment,
)
from schemas.ids import TenantId
from schemas.requests import Decision
from tests.support.audit import NOON, recorded, request_id
from tests.support.ledger import (
    DOMAIN,
    ENTROPY,
    Books,
    Database,
    database,
    new_tenant,
    opened,
)

PASSED = Decision(stage="screening", control="phrases", verdict="passed")
BLOCKED = Decision(stage="screening", control="phrases", verdict="blocked")


async def actions(books: Books, tenant: TenantId) -> list[str]:
    return [each.action for each in await books.logs.read(tenant, 0, 1000)]


async def assert_holds(books: Books, tenant: TenantId) -> None:
    """Recompute everything from the stored bytes."""
    head = await books.logs.head(tenant)
    assert head is not None
    entries = await books.logs.read(tenant, 0, head.size + 1)

    found = verify(empty(head.origin), entries, head.last)

    assert isinstance(found, Verified)
    assert head == found.head


def note_of(origin: str, size: int) -> str:
    text = Checkpoint(origin, size, sha256(str(size).encode()).digest()).text
    return sign(text, [(VerifyKey(origin, bytes(32)), lambda _: bytes(64))])


def proof_of(seq: int, note: str) -> str:
    return TlogProof(seq, (), note).text


async def closed(books: Books, tenant: TenantId, names: Sequence[str]) -> Deleted:
    """A log that was closed and signed; what is to be kept of it."""
    await books.ledger.append([recorded(each, tenant=tenant) for each in names])
    await books.ledger.append([recorded("end", CLOSED, tenant=tenant)])
    head = await books.logs.head(tenant)
    assert head is not None
    note, rooted = note_of(head.origin, head.size), Rooted(bytes(32), 7)
    await books.logs.publish(tenant, note, NOON, rooted)
    (last,) = await books.logs.read(tenant, head.size - 1, 9)
    proof = proof_of(last.seq, note)
    return Deleted(tenant, head.origin, last.body, proof, rooted)


class LedgerContract:
    @pytest.fixture
    async def books(self) -> Books:
        raise NotImplementedError

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()

    async def test_records_are_found_by_what_they_are(
        self, books: Books, tenant: TenantId
    ) -> None:
        minutes = [NOON + timedelta(minutes=each) for each in range(6)]
        await books.ledger.append(
            [
                recorded(
                    str(each),
                    "request.screened" if each % 2 else "request.called",
                    tenant=tenant,
                    request=f"r{each % 3}",
                    time=minutes[each],
                )
                for each in range(6)
            ]
        )

        async def found(from_seq: int = 0, limit: int = 9, **wanted: Any) -> list[int]:
            query = Query(**wanted)
            rows = await books.logs.find(tenant, query, from_seq, limit)
            return [each.seq for each in rows]

        assert [0, 1, 2, 3, 4, 5, 6] == await found()
        assert [1, 4] == await found(request=request_id("r0"))
        assert [2, 4, 6] == await found(action="request.screened")
        assert [4, 6] == await found(from_seq=3, action="request.screened")
        assert [2] == await found(limit=1, action="request.screened")
        assert [0] == await found(actor="system:ledger")
        assert [3, 4] == await found(since=minutes[2], until=minutes[4])
        assert [4] == await found(since=minutes[2], request=request_id("r0"))
        assert [] == await found(action="no.such")

    async def test_a_log_is_read_by_portions(
        self, books: Books, tenant: TenantId
    ) -> None:
        names = [str(each) for each in range(2 * PORTION)]
        await books.ledger.append([recorded(each, tenant=tenant) for each in names])

        async def read(start: int, end: int) -> list[list[int]]:
            async with aclosing(books.logs.portions(tenant, start, end)) as portions:
                return [[row.seq for row in rows] async for rows in portions]

        size = 2 * PORTION + 1
        assert [*range(7, size)] == [*chain.from_iterable(await read(7, 2 * size))]
        assert [PORTION, PORTION, 1] == [*map(len, await read(0, size))]
        assert [[3, 4]] == await read(3, 5)
        assert [] == await read(5, 5)
        assert [] == await read(size, size + 3)

    async def test_who_stops_reading_by_portions_reads_on_elsewhere(
        self, books: Books, tenant: TenantId
    ) -> None:
        """What was asked for ahead of it is in nobody's way."""
        names = [str(each) for each in range(2 * PORTION)]
        await books.ledger.append([recorded(each, tenant=tenant) for each in names])

        for _ in range(20):
            async with aclosing(books.logs.portions(tenant, 0, 999_999)) as portions:
                first = await anext(portions)
            assert first == await books.logs.read(tenant, 0, PORTION)

    async def test_records_are_found_beyond_what_is_read_at_once(
        self, books: Books, tenant: TenantId
    ) -> None:
        names = [str(each) for each in range(MAX_PAGE + 2)]
        events = [recorded(each, tenant=tenant, request=each) for each in names]
        await books.ledger.append(events)
        first, last = request_id("0"), request_id(names[-1])

        found = await books.logs.find(tenant, Query(), 1, MAX_PAGE + 1)
        by_request = await books.logs.by_request(tenant, last)
        actions = await books.logs.actions(tenant, [last, first, last])

        assert [*range(1, MAX_PAGE + 2)] == [each.seq for each in found]
        assert [MAX_PAGE + 2] == [each.seq for each in by_request]
        assert sorted([first, last]) == sorted(request for request, _ in actions)

    async def test_the_first_event_opens_a_log(
        self, books: Books, tenant: TenantId
    ) -> None:
        event = recorded("a", tenant=tenant)

        appended = await books.ledger.append([event])

        head = await books.logs.head(tenant)
        assert head is not None
        assert head.origin.startswith(f"ledger.{DOMAIN}/")
        assert ["log.created", "request.screened"] == await actions(books, tenant)
        entry = (await books.logs.read(tenant, 1, 1))[0]
        place = Place(head.origin, 1, entry.leaf)
        assert place == appended.places[event.attributes.id]
        await assert_holds(books, tenant)

    async def test_batches_go_on_where_the_last_one_ended(
        self, books: Books, tenant: TenantId
    ) -> None:
        for batch in ("abc", "d", "ef"):
            await books.ledger.append([recorded(n, tenant=tenant) for n in batch])

        entries = await books.logs.read(tenant, 0, 100)
        assert list(range(7)) == [each.seq for each in entries]
        await assert_holds(books, tenant)

    async def test_a_batch_over_many_tenants(self, books: Books) -> None:
        tenants = [new_tenant() for _ in range(5)]
        events = [recorded(n, tenant=each) for n in "abc" for each in tenants]

        appended = await books.ledger.append(events)

        assert 3 * 5 == len(appended.places)
        origins = set()
        for tenant in tenants:
            await assert_holds(books, tenant)
            ids = [each.event_id for each in await books.logs.read(tenant, 1, 9)]
            mine = [e.attributes.id for e in events if e.attributes.tenant == tenant]
            assert mine == ids
            origins |= {appended.places[each].origin for each in mine}
        assert 5 == len(origins)
        assert set(tenants) <= set(await books.logs.tenants())

    async def test_nothing_is_appended_and_nothing_is_read(
        self, books: Books, tenant: TenantId
    ) -> None:
        appended = await books.ledger.append([])

        assert {} == appended.places
        assert None is await books.logs.head(tenant)
        assert [] == list(await books.logs.read(tenant, 0, 10))
        assert [] == list(await books.logs.by_request(tenant, request_id("r")))
        assert b"" == await books.logs.hashes(tenant, 0, 0, 256)
        assert None is await books.logs.latest(tenant)

    async def test_a_repeat_is_dropped_before_it_has_a_place(
        self, books: Books, tenant: TenantId
    ) -> None:
        first = [recorded(n, tenant=tenant) for n in "ab"]
        later = recorded("a", tenant=tenant, time=NOON + timedelta(hours=1))
        await books.ledger.append(first)

        again = await books.ledger.append([later, *first, later])

        assert 4 == again.repeats
        assert [1, 2] == [again.places[e.attributes.id].seq for e in first]
        assert 3 == len(await actions(books, tenant))

    async def test_one_new_among_repeats(self, books: Books, tenant: TenantId) -> None:
        await books.ledger.append([recorded(n, tenant=tenant) for n in "ac"])

        appended = await books.ledger.append(
            [recorded(n, tenant=tenant) for n in "abc"]
        )

        assert {1, 2, 3} == {place.seq for place in appended.places.values()}
        assert 4 == len(await actions(books, tenant))
        assert 2 == appended.repeats
        await assert_holds(books, tenant)

    async def test_the_same_id_is_another_event_at_another_tenant(
        self, books: Books, tenant: TenantId
    ) -> None:
        event, other = recorded("a", tenant=tenant), new_tenant()
        moved = recorded("a", tenant=tenant)
        object.__setattr__(moved.attributes, "tenant", other)

        appended = await books.ledger.append([event, moved])

        assert 0 == appended.repeats
        assert 2 == len(await actions(books, other))

    async def test_another_decision_under_a_known_id_appends_nothing(
        self, books: Books, tenant: TenantId
    ) -> None:
        other = new_tenant()
        await books.ledger.append([recorded("a", tenant=tenant, decision=(PASSED,))])

        with pytest.raises(IntegrityError):
            await books.ledger.append(
                [
                    recorded("z", tenant=other),
                    recorded("b", tenant=tenant),
                    recorded("a", tenant=tenant, decision=(BLOCKED,)),
                ]
            )

        assert 2 == len(await actions(books, tenant))
        assert [] == await actions(books, other)

    @pytest.mark.parametrize("first", sorted(TERMINAL))
    async def test_a_second_end_is_an_incident_also_when_it_comes_again(
        self, books: Books, tenant: TenantId, first: str
    ) -> None:
        end = recorded("a", first, tenant=tenant, request="r")
        other = recorded("b", "request.failed", tenant=tenant, request="r")
        await books.ledger.append([end])

        second = await books.ledger.append([other])
        again = await books.ledger.append([end, other])

        assert (other.attributes.id,) == second.incidents
        assert (2, ()) == (again.repeats, again.incidents)
        assert SECOND_TERMINAL == (await actions(books, tenant))[-1]
        found = await books.logs.by_request(tenant, request_id("r"))
        assert "request.failed" == record(found[-1].body).decision[-1].rule

    async def test_a_request_that_a_guard_missed_is_an_incident_once(
        self, books: Books, tenant: TenantId
    ) -> None:
        guards = ("phrases", "pii")
        end = recorded(
            "a",
            "request.completed",
            tenant=tenant,
            request="r",
            guards_required=guards,
            guards_ran=guards[:1],
        )

        appended = [await books.ledger.append([end]) for _ in range(2)]

        assert [1, 0] == [len(each.incidents) for each in appended]
        found = await books.logs.by_request(tenant, request_id("r"))
        assert ["request.completed", INCIDENT] == [each.action for each in found]
        assert "pii" == record(found[-1].body).decision[0].control
        await assert_holds(books, tenant)

    async def test_a_request_tells_its_story_in_order(
        self, books: Books, tenant: TenantId
    ) -> None:
        for request in "rs":
            for step in ("accepted", "screened", "completed"):
                event = recorded(
                    request + step, f"request.{step}", tenant=tenant, request=request
                )
                await books.ledger.append([event])

        found = await books.logs.by_request(tenant, request_id("r"))

        steps = ["request.accepted", "request.screened", "request.completed"]
        assert steps == [each.action for each in found]
        wanted = [request_id("r"), request_id("never")]
        pairs = [(request_id("r"), step) for step in steps]
        assert sorted(pairs) == sorted(await books.logs.actions(tenant, wanted))
        assert [] == list(await books.logs.by_request(new_tenant(), request_id("r")))

    @pytest.mark.parametrize("bent", ["tenant", "id"])
    async def test_what_can_never_be_recorded_is_said_so(
        self, books: Books, tenant: TenantId, bent: str
    ) -> None:
        event = recorded("b", tenant=tenant)
        object.__setattr__(event.attributes, bent, "no uuid")

        with pytest.raises(InvalidMessage):
            await books.ledger.append([recorded("a", tenant=tenant), event])

        assert [] == await actions(books, tenant)

    async def test_offsets_are_kept_with_the_records(
        self, books: Books, tenant: TenantId
    ) -> None:
        topic = ENTROPY.bytes(4).hex()
        event = recorded("a", tenant=tenant)
        await books.ledger.append([event], SourceOffsets(topic, {0: 5, 3: 7}))
        await books.ledger.append([], SourceOffsets(topic, {3: 9}))

        assert {0: 5, 3: 9} == (await books.ledger.source(topic)).next_offsets
        assert {} == (await books.ledger.source("another")).next_offsets

    async def test_offsets_never_move_backwards(
        self, books: Books, tenant: TenantId
    ) -> None:
        """A member that stood still appends what others went on from long ago."""
        topic = ENTROPY.bytes(4).hex()
        event = recorded("a", tenant=tenant)
        await books.ledger.append([event], SourceOffsets(topic, {0: 19}))
        await books.ledger.append([event], SourceOffsets(topic, {0: 8, 1: 2}))

        assert {0: 19, 1: 2} == (await books.ledger.source(topic)).next_offsets

    async def test_of_two_who_read_the_same_one_appends(
        self, books: Books, tenant: TenantId
    ) -> None:
        topic = ENTROPY.bytes(4).hex()
        read = (await books.ledger.source(topic)).next_offsets
        event, other = recorded("a", tenant=tenant), recorded("b", tenant=tenant)
        first = SourceOffsets(topic, {0: 5}, after=read, before=NOON)
        await books.ledger.append([event], first)

        late = SourceOffsets(topic, {0: 7}, after=read, before=NOON)
        with pytest.raises(RetryableError):
            await books.ledger.append([other], late)

        assert replace(first, after=None) == await books.ledger.source(topic)
        assert ["log.created", "request.screened"] == await actions(books, tenant)

    async def test_whoever_knows_what_is_stored_may_go_back(
        self, books: Books, tenant: TenantId
    ) -> None:
        topic = ENTROPY.bytes(4).hex()
        event = recorded("a", tenant=tenant)
        await books.ledger.append([event], SourceOffsets(topic, {0: 9}, after={}))
        back = SourceOffsets(topic, {0: 2}, after={0: 9})
        await books.ledger.append([], back)

        assert {0: 2} == (await books.ledger.source(topic)).next_offsets

    async def test_tiles_hold_every_leaf_and_fill_upwards(
        self, books: Books, tenant: TenantId
    ) -> None:
        """Across a batch that fills a tile alone, one that fills two, and a rest."""
        names = [str(each) for each in range(255 + 600 + 44)]
        for part in (names[:255], names[255:855], names[855:]):
            await books.ledger.append([recorded(n, tenant=tenant) for n in part])

        leaves = [each.leaf for each in await books.logs.read(tenant, 0, 1000)]
        for index in range(4):
            joined = await books.logs.hashes(tenant, 0, index, 256)
            assert b"".join(leaves[index * 256 :][:256]) == joined
        assert 3 * 32 == len(await books.logs.hashes(tenant, 1, 0, 256))
        assert 2 * 32 == len(await books.logs.hashes(tenant, 1, 0, 2))
        assert b"" == await books.logs.hashes(tenant, 2, 0, 256)
        head = await books.logs.head(tenant)
        assert head is not None
        tiles = {
            (level, index): await books.logs.hashes(tenant, level, index, 256)
            for level in range(2)
            for index in range(4)
        }
        nodes = nodes_from(lambda level, index, _: tiles[level, index])
        assert head.tree.root() == root_between(nodes, 0, head.size)

    async def test_one_batch_fills_tiles_of_many_logs(self, books: Books) -> None:
        """Each with what is its own."""
        tenants = [new_tenant() for _ in range(3)]
        names = [str(each) for each in range(254)]
        for each in tenants:
            await books.ledger.append([recorded(n, tenant=each) for n in names])

        await books.ledger.append([recorded("last", tenant=each) for each in tenants])

        for each in tenants:
            head = await books.logs.head(each)
            assert head is not None
            leaves = [entry.leaf for entry in await books.logs.read(each, 0, 256)]
            assert b"".join(leaves) == await books.logs.hashes(each, 0, 0, 256)
            assert head.tree.root() == await books.logs.hashes(each, 1, 0, 1)

    async def test_checkpoints_are_kept_and_the_first_stands(
        self, books: Books, tenant: TenantId
    ) -> None:
        await books.ledger.append([recorded("a", tenant=tenant)])
        head = await books.logs.head(tenant)
        assert head is not None
        notes = [note_of(head.origin, size) for size in (1, 2, 3)]

        rooted, another = Rooted(bytes(32), 7), Rooted(bytes(32), 9)
        await books.logs.publish(tenant, notes[0], NOON, rooted)
        await books.logs.publish(tenant, notes[2], NOON, another)
        await books.logs.publish(tenant, notes[1], NOON)
        await books.logs.publish(tenant, notes[0], NOON, Rooted(bytes(32), 8))

        assert notes == list(await books.logs.checkpoints(tenant))
        assert notes[2] == await books.logs.latest(tenant)
        found = [await books.logs.rooted(tenant, size) for size in (1, 2, 3, 4)]
        assert [rooted, None, another, None] == found
        assert {1: rooted, 3: another} == await books.logs.commitments(tenant)

    async def test_records_are_read_at_their_places(
        self, books: Books, tenant: TenantId
    ) -> None:
        await books.ledger.append([recorded(each, tenant=tenant) for each in "abc"])

        found = await books.logs.at(tenant, [3, 1, 9])

        assert [1, 3] == sorted(each.seq for each in found)
        assert [] == list(await books.logs.at(tenant, []))
        assert [] == list(await books.logs.at(new_tenant(), [1]))

    async def test_no_tile_is_stored_before_its_time(
        self, books: Books, tenant: TenantId
    ) -> None:
        for start, end in ((0, 255), (255, 300)):
            names = map(str, range(start, end))
            await books.ledger.append([recorded(each, tenant=tenant) for each in names])

            assert None is await books.logs.premature(tenant)

    async def test_the_largest_record_is_stored(
        self, books: Books, tenant: TenantId
    ) -> None:
        code = "x" * 128
        said = Decision(stage=code, control=code, verdict=code, rule=code)
        event = recorded("a", tenant=tenant, decision=(said,) * MAX_DECISIONS)
        content = ContentCommitment(
            purpose=code, commit="0" * 64, sealed_sha256="0" * 64, key_id="0" * 32
        )
        data = event.data.model_copy(update={"content": (content,) * 84})

        await books.ledger.append([replace(event, data=data)])

        (entry,) = await books.logs.read(tenant, 1, 1)
        assert 0.85 * MAX_RECORD_BYTES < len(entry.body) <= MAX_RECORD_BYTES

    async def test_nothing_is_appended_behind_the_end_of_a_log(
        self, books: Books, tenant: TenantId
    ) -> None:
        end = recorded("end", CLOSED, tenant=tenant)
        before = recorded("a", tenant=tenant)
        await books.ledger.append([before, end])

        for late in ([recorded("b", tenant=tenant)], [recorded("c", tenant=tenant)]):
            with pytest.raises(LogClosed):
                await books.ledger.append([recorded("d", tenant=new_tenant()), *late])
        again = await books.ledger.append([end, before])

        assert 2 == again.repeats
        assert ["log.created", "request.screened", CLOSED] == await actions(
            books, tenant
        )
        await assert_holds(books, tenant)

    async def test_nothing_comes_behind_the_end_in_one_batch_either(
        self, books: Books, tenant: TenantId
    ) -> None:
        end, late = recorded("end", CLOSED, tenant=tenant), recorded("b", tenant=tenant)

        with pytest.raises(LogClosed):
            await books.ledger.append([end, late])

        assert [] == await actions(books, tenant)

    async def test_a_closed_and_signed_log_is_deleted_whole(
        self, books: Books, tenant: TenantId
    ) -> None:
        other = new_tenant()
        names = [str(each) for each in range(300)]
        await books.ledger.append([recorded(n, tenant=other) for n in names])
        kept = await closed(books, tenant, names)

        await books.deleter.delete(kept)
        await books.deleter.delete(kept)

        assert tenant not in await books.logs.tenants()
        assert None is await books.logs.head(tenant)
        assert [] == await actions(books, tenant)
        assert [] == list(await books.logs.checkpoints(tenant))
        assert b"" == await books.logs.hashes(tenant, 0, 0, 256)
        assert kept in await books.logs.deleted()
        assert 301 == len(await actions(books, other))
        await assert_holds(books, other)

    async def test_a_deleted_log_is_not_begun_again(
        self, books: Books, tenant: TenantId
    ) -> None:
        await books.deleter.delete(await closed(books, tenant, ["a"]))

        with pytest.raises(LogClosed):
            await books.ledger.append([recorded("b", tenant=tenant)])

        assert None is await books.logs.head(tenant)

    async def test_a_log_that_is_open_is_not_deleted(
        self, books: Books, tenant: TenantId
    ) -> None:
        await books.ledger.append([recorded("a", tenant=tenant)])
        head = await books.logs.head(tenant)
        assert head is not None
        note, rooted = note_of(head.origin, 2), Rooted(bytes(32), 7)
        await books.logs.publish(tenant, note, NOON, rooted)
        (_, last) = await books.logs.read(tenant, 0, 9)

        with pytest.raises(IntegrityError):
            await books.deleter.delete(
                Deleted(tenant, head.origin, last.body, proof_of(1, note), rooted)
            )

        assert 2 == len(await actions(books, tenant))
        assert tenant not in [each.tenant for each in await books.logs.deleted()]

    @pytest.mark.parametrize("bent", ["origin", "record", "proof", "salt", "seq"])
    async def test_nothing_else_is_kept_of_a_log_than_what_it_was(
        self, books: Books, tenant: TenantId, bent: str
    ) -> None:
        kept = await closed(books, tenant, ["a"])
        wrong: dict[str, Any] = {
            "origin": f"{kept.origin}x",
            "record": (await books.logs.read(tenant, 1, 1))[0].body,
            "proof": proof_of(2, note_of(kept.origin, 2)),
            "salt": Rooted(bytes([1] * 32), 7),
            "seq": Rooted(bytes(32), 8),
        }
        name = "rooted" if bent in {"salt", "seq"} else bent

        with pytest.raises(IntegrityError):
            await books.deleter.delete(replace(kept, **{name: wrong[bent]}))

        assert 3 == len(await actions(books, tenant))

    async def test_what_is_kept_names_the_end_of_the_log(
        self, books: Books, tenant: TenantId
    ) -> None:
        """Not a checkpoint from before, whoever signed it and wherever it is rooted."""
        await books.ledger.append([recorded("a", tenant=tenant)])
        head = await books.logs.head(tenant)
        assert head is not None
        note, rooted = note_of(head.origin, 2), Rooted(bytes(32), 7)
        await books.logs.publish(tenant, note, NOON, rooted)
        await books.ledger.append([recorded("end", CLOSED, tenant=tenant)])
        (last,) = await books.logs.read(tenant, 2, 9)
        kept = Deleted(tenant, head.origin, last.body, proof_of(2, note), rooted)

        with pytest.raises(IntegrityError):
            await books.deleter.delete(kept)

        assert 3 == len(await actions(books, tenant))

    @pytest.mark.parametrize("bent", ["record", "proof", "rooted"])
    async def test_what_was_kept_is_not_replaced(
        self, books: Books, tenant: TenantId, bent: str
    ) -> None:
        kept = await closed(books, tenant, ["a"])
        await books.deleter.delete(kept)
        other: dict[str, Any] = {
            "record": b"{}",
            "proof": "x",
            "rooted": Rooted(bytes(32), 8),
        }

        with pytest.raises(IntegrityError):
            await books.deleter.delete(replace(kept, **{bent: other[bent]}))

        assert kept in await books.logs.deleted()


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    @override
    async def books(self) -> Books:
        memory = MemoryLedger(DOMAIN, ENTROPY)
        return Books(ledger=memory, logs=memory, deleter=memory)


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.mark.integration
class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    @override
    async def books(self, made: Database) -> AsyncIterator[Books]:
        async with opened(made) as books:
            yield books

    async def test_what_is_kept_of_a_deleted_log_is_not_rewritten_by_mistake(
        self, books: Books, made: Database, tenant: TenantId
    ) -> None:
        """Not even by a superuser, while the triggers are on."""
        kept = await closed(books, tenant, ["a"])
        await books.deleter.delete(kept)
        connection = await asyncpg.connect(made.admin)

        for statement in (
            "update sluice.ledger_deleted set proof = 'x'",
            "delete from sluice.ledger_deleted",
            "truncate sluice.ledger_deleted",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(statement)
        await connection.close()

        assert kept in await books.logs.deleted()

    async def test_whoever_may_append_does_not_begin_a_deleted_log_again(
        self, books: Books, made: Database, tenant: TenantId
    ) -> None:
        """Nor past the function that looks whether it was deleted."""
        await books.deleter.delete(await closed(books, tenant, ["a"]))
        connection = await asyncpg.connect(made.admin)

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="was deleted"):
            await connection.execute(
                "insert into sluice.ledger_log (tenant_id, origin) values ($1, 'x')",
                tenant,
            )
        await connection.close()
