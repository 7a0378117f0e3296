"""A pass reads by portions: what it says does not depend on where one ends."""

import pytest

from infra.memory.ledger import MemoryLedger
from infra.system import SystemEntropy
from pipeline import passes
from pipeline.ports import ledger as ports
from tests.support.altered import ALTERED
from tests.support.audit import TENANT, recorded

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
