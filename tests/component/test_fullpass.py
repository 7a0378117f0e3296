"""The scheduled full pass: what it finds, what it records, whom it tells."""

from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from infra.memory.ledger import MemoryLedger
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemEntropy
from pipeline.audit import ROOT, Head
from pipeline.errors import IntegrityError
from pipeline.merkle import CompactRange, extend, leaf_hash
from pipeline.root import heartbeat
from producers.incidents import Incidents
from schemas.ids import TenantId
from schemas.webhooks import Kind
from tests.support.audit import OTHER, TENANT, recorded
from tests.support.passed import CLOCK, Passed, passed
from tests.support.webhooks import bare, holder


@dataclass
class Bench(Passed):
    """Two logs that can be bent as a superuser would."""

    def rewrite(self, seq: int) -> None:
        """Change a row so that it holds for itself."""
        entries = self.ledger._entries[TENANT]
        body = entries[seq].body.replace(b"system:test", b"system:tess")
        leaf = leaf_hash(body)
        entries[seq] = entries[seq]._replace(body=body, leaf=leaf, actor="system:tess")

    async def drop(self, tenant: TenantId) -> str:
        """Nothing of a log is left; its origin."""
        head = await self.ledger.head(tenant)
        assert head is not None
        for rows in (self.ledger._heads, self.ledger._entries, self.ledger._notes):
            del rows[tenant]
        return head.origin


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return Bench(**vars(await passed(tmp_path)))


async def test_whole_logs_leave_no_record(bench: Bench) -> None:
    before = await bench.ledger.head(TENANT)

    await bench.worker.round()

    assert [0] == bench.told
    assert before == await bench.ledger.head(TENANT)


@pytest.mark.parametrize("seq", [1, 3, 5])
async def test_a_changed_row_is_an_incident_with_its_place(
    bench: Bench, seq: int
) -> None:
    bench.rewrite(seq)

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [1] == bench.told
    assert [f"record_{seq}"] == await bench.incidents(TENANT)
    assert [] == await bench.incidents(OTHER)
    assert [] == await bench.incidents(ROOT)


async def test_the_same_finding_is_recorded_once(bench: Bench) -> None:
    bench.rewrite(2)
    for _ in range(3):
        with pytest.raises(IntegrityError):
            await bench.worker.round()

    assert [1, 1, 1] == bench.told
    assert [1, 0, 0] == bench.alarms
    assert ["record_2"] == await bench.incidents(TENANT)


async def test_a_cut_log_is_told_by_what_the_signer_remembers(
    bench: Bench,
) -> None:
    """Its rows, chain and head hold for themselves; its checkpoints went with them."""
    head = await bench.ledger.head(TENANT)
    assert head is not None
    entries = bench.ledger._entries[TENANT][:3]
    tree, _ = extend(CompactRange(), [each.leaf for each in entries])
    last = sha256(entries[-1].body).digest()
    bench.ledger._entries[TENANT] = entries
    bench.ledger._heads[TENANT] = Head(head.origin, last, tree)
    bench.ledger._notes[TENANT].clear()

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [1] == bench.told
    assert 1 == len(await bench.incidents(TENANT))


async def test_a_log_that_is_gone_is_told_by_what_the_signer_remembers(
    bench: Bench,
) -> None:
    origin = await bench.drop(OTHER)

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await bench.worker.round()

    digest = sha256(origin.encode()).hexdigest()
    assert [f"log_{digest[:32]}"] == await bench.incidents(ROOT)
    assert ([1, 1], [1, 0]) == (bench.told, bench.alarms)


async def test_heartbeats_that_count_fewer_logs_are_told(bench: Bench) -> None:
    """The signer's memory went with the log; the root log was signed since."""
    origin = await bench.drop(OTHER)
    bench.state._path(origin).unlink()
    for minutes in (5, 10):
        at = CLOCK.now() + timedelta(minutes=minutes)
        await bench.ledger.append([heartbeat(["one"], at)])

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [1] == bench.told
    assert 1 == len(await bench.incidents(ROOT))


async def test_a_heartbeat_of_a_signer_that_was_late_is_no_alarm(bench: Bench) -> None:
    for minutes, logs in ((5, ["one"]), (10, ["one", "two"])):
        at = CLOCK.now() + timedelta(minutes=minutes)
        await bench.ledger.append([heartbeat(logs, at)])

    await bench.worker.round()

    assert [0] == bench.told


async def test_a_bent_end_is_an_incident_on_the_root_and_others_have_their_turn(
    bench: Bench,
) -> None:
    """Its own log takes no record."""
    bench.ledger.bent.add(min(TENANT, OTHER))
    other = max(TENANT, OTHER)
    entries = bench.ledger._entries[other]
    entries[2] = entries[2]._replace(actor="system:tess")

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await bench.worker.round()

    digest = sha256(min(TENANT, OTHER).encode()).hexdigest()
    assert [f"head.of_{digest[:32]}"] == await bench.incidents(ROOT)
    assert ["record_2"] == await bench.incidents(other)
    assert ([2, 2], [2, 0]) == (bench.told, bench.alarms)


async def test_a_bent_end_of_the_root_log_is_told_with_each_pass(bench: Bench) -> None:
    """No log is left that could say so."""
    bench.ledger.bent.add(ROOT)

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await bench.worker.round()

    assert ([1, 1], [1, 1]) == (bench.told, bench.alarms)


@pytest.mark.parametrize("seq", [1, 5])
async def test_a_row_that_is_nested_too_deep_hides_no_other_log(
    bench: Bench, seq: int
) -> None:
    """Our parser reads deeper than it writes."""
    body = b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"
    entries = bench.ledger._entries[min(TENANT, OTHER)]
    entries[seq] = entries[seq]._replace(body=body, leaf=leaf_hash(body))
    entries = bench.ledger._entries[max(TENANT, OTHER)]
    entries[2] = entries[2]._replace(actor="system:tess")

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [f"record_{seq}"] == await bench.incidents(min(TENANT, OTHER))
    assert ["record_2"] == await bench.incidents(max(TENANT, OTHER))


@pytest.mark.parametrize("how", ["gone", "another salt", "another place", "nowhere"])
@pytest.mark.parametrize("size", [6, 7])
async def test_a_commitment_that_is_not_what_it_was_is_an_incident(
    bench: Bench, size: int, how: str
) -> None:
    """The root log says so of each checkpoint, not of the last alone."""
    await bench.ledger.append([recorded("f")])
    await bench.checkpointer.round()
    rooted = bench.ledger._rooted.pop((TENANT, size))
    bent = {
        "another salt": replace(rooted, salt=bytes(32)),
        "another place": replace(rooted, seq=0),
        "nowhere": replace(rooted, seq=1000),
    }
    if how in bent:
        bench.ledger._rooted[TENANT, size] = bent[how]

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [f"record_{size}"] == await bench.incidents(TENANT)
    assert [] == await bench.incidents(OTHER)


async def test_what_a_standby_has_is_read_there(bench: Bench) -> None:
    bench.standby = deepcopy(bench.ledger)
    bench.rewrite(2)

    await bench.worker.round()

    assert [0] == bench.told


async def test_what_a_standby_has_not_received_is_not_missing(bench: Bench) -> None:
    """It is read on the primary, where it would be missed."""
    bench.standby = MemoryLedger("test.example", SystemEntropy())
    await bench.worker.round()
    bench.rewrite(2)

    with pytest.raises(IntegrityError):
        await bench.worker.round()

    assert [0, 1] == bench.told


async def test_subscribers_are_told_once_of_what_was_found(bench: Bench) -> None:
    rows = MemoryWebhooks()
    endpoint, secret = bare(TENANT, Kind.LEDGER_INCIDENT)
    await rows.create(endpoint, secret, holder(TENANT))
    worker = Incidents(logs=bench.ledger, deliveries=rows, clock=CLOCK)
    await worker.round()
    bench.rewrite(2)
    with pytest.raises(IntegrityError):
        await bench.worker.round()

    for _ in range(2):
        await worker.round()

    due = await rows.sweep(CLOCK.now() + timedelta(minutes=2), 9)
    assert [TENANT] == [each.tenant_id for each in due]
