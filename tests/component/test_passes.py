"""A pass reads by portions: what it says does not depend on where one ends."""

from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from infra.memory.ledger import MemoryLedger
from infra.system import SystemEntropy
from pipeline import passes
from pipeline.merkle import TILE_WIDTH, CompactRange
from pipeline.ports import ledger as ports
from pipeline.verification import Broken
from schemas.ids import TenantId
from tests.support.altered import ALTERED
from tests.support.audit import OTHER, TENANT, recorded
from tests.support.passed import passed

PORTIONS = (1, 2, 3, 4, 5, 6, 7)
RECORDS = 7


@pytest.fixture
async def ledger() -> MemoryLedger:
    ledger = MemoryLedger("example.com", SystemEntropy())
    names = map(str, range(RECORDS - 1))
    await ledger.append([recorded(each, request=each) for each in names])
    return ledger


@pytest.mark.parametrize("portion", PORTIONS)
@pytest.mark.parametrize("how", ALTERED)
async def test_an_altered_row_is_named(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger, how: str, portion: int
) -> None:
    monkeypatch.setattr(ports, "PORTION", portion)
    rows = ledger._entries[TENANT]

    for seq in range(1, RECORDS):
        true, rows[seq] = rows[seq], ALTERED[how](rows[seq])
        report = await passes.full_pass(ledger, TENANT, [])
        rows[seq] = true

        assert report is not None
        assert report.broken is not None
        assert seq == report.broken.seq


@pytest.mark.parametrize("portion", PORTIONS)
async def test_a_missing_row_is_named(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger, portion: int
) -> None:
    monkeypatch.setattr(ports, "PORTION", portion)
    rows = ledger._entries[TENANT]

    for seq in range(1, RECORDS - 1):
        del (kept := list(rows))[seq]
        ledger._entries[TENANT] = kept
        report = await passes.full_pass(ledger, TENANT, [])

        assert report is not None
        assert report.broken is not None
        assert seq == report.broken.seq


async def test_a_head_without_its_rows_is_told(ledger: MemoryLedger) -> None:
    ledger._entries[TENANT] = []
    report = await passes.full_pass(ledger, TENANT, [])

    assert report is not None
    assert Broken(0, "a record is missing") == report.broken


@pytest.mark.parametrize("at", range(3))
async def test_a_head_whose_tree_was_altered_is_told(
    ledger: MemoryLedger, at: int
) -> None:
    """The next append would go on from it."""
    head = ledger._heads[TENANT]
    hashes = [*head.tree.hashes]
    hashes[at] = bytes(len(hashes[at]))
    tree = CompactRange(head.size, tuple(hashes))
    ledger._heads[TENANT] = replace(head, tree=tree)
    report = await passes.full_pass(ledger, TENANT, [])

    assert report is not None
    assert report.broken is not None
    assert RECORDS == report.broken.seq


async def test_a_checkpoint_of_another_log_tells_nothing_of_this_one(
    tmp_path: Path,
) -> None:
    """Whoever verifies may hold the keys of both."""
    there = await passed(tmp_path)
    heads = [await there.ledger.head(each) for each in (TENANT, OTHER)]
    keys = [key for head in heads if head for key in there.keys.named(head.origin)]
    foreign = await there.ledger.latest(OTHER)
    assert foreign is not None
    true = await passes.full_pass(there.ledger, TENANT, keys)
    report = await passes.full_pass(there.ledger, TENANT, keys, [foreign])

    assert true is not None
    assert true.broken is None
    assert report is not None
    assert report.broken is not None
    assert "a checkpoint is of another log" == report.broken.reason


class Bent(MemoryLedger):
    """A log whose full tile of the second level is not that of its records."""

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        found = await super().hashes(tenant, level, index, width)
        return bytes(len(found)) if (level, width) == (1, TILE_WIDTH) else found


async def test_a_tile_above_others_is_compared_too() -> None:
    names = map(str, range(TILE_WIDTH * TILE_WIDTH - 1))
    events = [recorded(each) for each in names]

    for kind, found in ((MemoryLedger, True), (Bent, False)):
        ledger = kind("example.com", SystemEntropy())
        await ledger.append(events)
        report = await passes.full_pass(ledger, TENANT, [])

        assert report is not None
        assert TILE_WIDTH * TILE_WIDTH == report.size
        assert found is (report.broken is None)
