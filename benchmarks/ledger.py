"""The ledger's rates: ``python -m benchmarks.ledger [--rows N] [--seconds S]``.

Appends through the whole transaction, beside a raw insert of the same rows into the
same Postgres in the same run: a table with the same indexes, but no chain, row security
or triggers. Postgres waits for the disk. Then logs of 10,000 records and ten times as
many, up to N: appends to them, full passes, proofs (also while somebody appends), and
the time from an event to a checkpoint that counts it, signed on demand.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.records import CLOCK, ENTROPY, events, new_tenants
from demo import stack as local
from infra.log import Log
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.roles import LOGINS, MAIN, dsn, provision
from infra.signer.ed25519 import FileSigner, ensure_key, public_keys
from infra.signer.state import STATE, FileState
from infra.system import settled
from pipeline.audit import Entry, chain, empty
from pipeline.checkpoint import parse_note
from pipeline.passes import full_pass
from pipeline.proofs import prove
from producers.checkpointer import Checkpointer
from schemas.ids import TenantId

FEWEST = 10_000
PROOFS = 200
EVENTS = 20
FEWEST_STEPS = 5
BATCHES = (1, 10, 100, 1000)
TENANTS = (1, 10, 100)
Row = dict[str, Any]
RAW = "create table public.raw (like sluice.ledger_entry including indexes)"
RAW_INSERT = """
insert into public.raw select $1, * from
  unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],
         $7::timestamptz[], $8::bytea[], $9::bytea[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The opened ledger.

    Attributes:
        seconds: how long each rate is measured.
    """

    admin: asyncpg.Pool
    ledger: PostgresLedger
    logs: PostgresLogs
    signer: Path
    seconds: float

    @property
    def checkpointer(self) -> Checkpointer:
        return Checkpointer(
            ledger=self.ledger,
            logs=self.logs,
            signer=FileSigner(self.signer, CLOCK),
            state=FileState(self.signer / STATE),
            clock=CLOCK,
            log=Log("bench"),
        )


async def rate(seconds: float, step: Callable[[], Awaitable[int]]) -> float:
    """How many a second over some seconds of steps; the first is not counted."""
    await step()
    done, start = 0, perf_counter()
    while perf_counter() - start < seconds:
        done += await step()
    return done / (perf_counter() - start)


async def appending(bench: Bench, tenants: Sequence[TenantId], size: int) -> float:
    """Rows a second, in batches over all of these tenants."""
    source = events(tenants)
    ready = [list(islice(source, size)) for _ in range(20)]

    async def step() -> int:
        batch = ready.pop() if ready else list(islice(source, size))
        await bench.ledger.append(batch)
        return size

    return await rate(bench.seconds, step)


@dataclass(frozen=True, slots=True)
class Beside:
    """Seconds that the same number of rows took, ours and raw, step by step."""

    ours: list[float]
    raw: list[float]


async def beside(bench: Bench, tenants: Sequence[TenantId], size: int) -> Beside:
    """An append and a raw insert, turn by turn: so a busy minute is both's.

    The first of each is not counted.
    """
    source, raw = events(tenants), _raw(bench, size)
    found, end = Beside([], []), perf_counter() + 2 * bench.seconds
    while perf_counter() < end or len(found.raw) < FEWEST_STEPS:
        batch = list(islice(source, size))
        start = perf_counter()
        await bench.ledger.append(batch)
        found.ours.append(perf_counter() - start)
        found.raw.append(await raw())
    return Beside(found.ours[1:], found.raw[1:])


def _raw(bench: Bench, size: int) -> Callable[[], Awaitable[float]]:
    """The raw limit: seconds to insert as many rows, made before."""
    (tenant,) = new_tenants(1)
    source, head = events([tenant]), empty("ledger.bench/raw")

    async def insert() -> float:
        nonlocal head
        chained = chain(head, islice(source, size))
        head = chained.head
        columns = _columns(chained.entries)
        start = perf_counter()
        await bench.admin.execute(RAW_INSERT, tenant, *columns)
        return perf_counter() - start

    return insert


def _columns(rows: Sequence[Entry]) -> Sequence[Sequence[Any]]:
    return (
        [each.seq for each in rows],
        [each.event_id for each in rows],
        [each.request_id for each in rows],
        [each.action for each in rows],
        [each.actor for each in rows],
        [CLOCK.now() for _ in rows],
        [each.body for each in rows],
        [each.leaf for each in rows],
    )


async def batches(bench: Bench, size: int) -> Row:
    """Appends in batches of ``size`` beside the raw insert."""
    found = {n: await beside(bench, new_tenants(n), size) for n in TENANTS}
    raw = [spent for each in found.values() for spent in each.raw]
    return {
        "batch": size,
        "raw_rows_per_s": round(size * len(raw) / sum(raw)),
        "rows_per_s_by_tenants": {
            n: round(size * len(each.ours) / sum(each.ours))
            for n, each in found.items()
        },
        "of_the_raw": {
            n: round(sum(each.raw) / sum(each.ours), 2) for n, each in found.items()
        },
    }


async def grown(bench: Bench, rows: int) -> Row:
    """A log of so many rows: what it costs to add to, to pass over, to prove from."""
    (tenant,) = new_tenants(1)
    source = events([tenant])
    for _ in range(rows // 1000):
        await bench.ledger.append(list(islice(source, 1000)))
    signed_s = await _signing(bench, tenant)
    passed = await _passing(bench, tenant)
    alone = await _proving(bench, tenant)
    async with _meanwhile(bench, tenant):
        busy = await _proving(bench, tenant)
    return {
        "rows": rows,
        "first_checkpoint_s": round(signed_s, 3),
        "full_pass_rows_per_s": round(passed),
        "proofs_per_s": round(alone),
        "proofs_per_s_while_appending": round(busy),
        "event_to_checkpoint_ms": round(await _event_to_checkpoint(bench, tenant), 1),
        "append_rows_per_s": round(await appending(bench, [tenant], 1000)),
    }


async def _signing(bench: Bench, tenant: TenantId) -> float:
    """Seconds of one checkpoint."""
    head = await bench.logs.head(tenant)
    if head is None:
        raise LookupError("expected the log that was just written")
    start = perf_counter()
    await bench.checkpointer.checkpoint(tenant, head)
    return perf_counter() - start


async def _passing(bench: Bench, tenant: TenantId) -> float:
    """Rows a second of a full pass, which must find nothing."""
    head = await bench.logs.head(tenant)
    if head is None:
        raise LookupError("expected the log that was just written")
    keys = public_keys(bench.signer).named(head.origin)

    async def step() -> int:
        report = await full_pass(bench.logs, tenant, keys)
        if report is None or report.broken:
            raise AssertionError("the log does not hold")
        return report.size

    return await rate(bench.seconds, step)


async def _proving(bench: Bench, tenant: TenantId) -> float:
    """Proofs a second, from everywhere in the log."""
    note = await bench.logs.latest(tenant)
    if note is None:
        raise LookupError("expected a checkpoint")
    signed, start = parse_note(note), perf_counter()
    for each in range(PROOFS):
        seq = each * signed.size // PROOFS
        await prove(bench.logs, tenant, seq, signed, note)
    return PROOFS / (perf_counter() - start)


@asynccontextmanager
async def _meanwhile(bench: Bench, tenant: TenantId) -> AsyncIterator[None]:
    """Somebody appends to the same log, batch after batch of 100."""
    source, done = events([tenant]), asyncio.Event()

    async def append() -> None:
        while not done.is_set():
            await bench.ledger.append(list(islice(source, 100)))

    task = asyncio.create_task(append())
    try:
        yield
    finally:
        done.set()
        await task


async def _event_to_checkpoint(bench: Bench, tenant: TenantId) -> float:
    """Milliseconds, in the median, until one new event is counted by a checkpoint."""
    source, spent = events([tenant]), []
    for _ in range(EVENTS):
        start = perf_counter()
        await bench.ledger.append(list(islice(source, 1)))
        await _signing(bench, tenant)
        spent.append(perf_counter() - start)
    return 1000 * median(spent)


@asynccontextmanager
async def opened(url: str, signer: Path, seconds: float) -> AsyncIterator[Bench]:
    """The ledger in a fresh Postgres, with the logins that its processes have."""
    names = [name for logins in LOGINS.values() for name in logins]
    urls = await provision(url, dict.fromkeys(names, "bench"))
    reader_url = urls["sluice_checkpointer"]
    async with (
        asyncpg.create_pool(dsn(url, MAIN), min_size=1, max_size=2) as admin,
        asyncpg.create_pool(urls["sluice_worker"], min_size=1, max_size=2) as worker,
        asyncpg.create_pool(reader_url, min_size=1, max_size=2) as reader,
    ):
        await admin.execute(RAW)
        yield Bench(
            admin=admin,
            ledger=PostgresLedger(pool=worker, domain="bench", entropy=ENTROPY),
            logs=PostgresLogs(pool=reader, role="sluice_ledger_signer"),
            signer=signer,
            seconds=seconds,
        )


async def measured(url: str, signer: Path, most: int, seconds: float) -> Row:
    """All rates, on this Postgres."""
    sizes = [most]
    while sizes[0] >= 10 * FEWEST:
        sizes.insert(0, sizes[0] // 10)
    async with opened(url, signer, seconds) as bench:
        settled()
        return {
            "append": [await batches(bench, size) for size in BATCHES],
            "by_size": [await grown(bench, size) for size in sizes],
        }


def run(most: int, seconds: float) -> Row:
    """All rates, on a Postgres of its own."""
    with local.temporary(durable=True) as stack, tempfile.TemporaryDirectory() as base:
        ensure_key(Path(base), ENTROPY.bytes(32), CLOCK.now())
        return asyncio.run(measured(stack.postgres_url, Path(base), most, seconds))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=FEWEST)
    parser.add_argument("--seconds", type=float, default=3.0)
    words = parser.parse_args()
    sys.stdout.write(json.dumps(run(words.rows, words.seconds), indent=2) + "\n")


if __name__ == "__main__":
    main()
