"""The ledger's rates: ``python -m benchmarks.ledger [ROWS]``.

Appends through the whole transaction, beside a raw insert of the same rows into the
same Postgres in the same run: a table with the same indexes, but no chain, row security
or triggers. Postgres waits for the disk. Then full passes, proofs and checkpoints.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

import asyncpg

from demo import stack as local
from infra.log import Log
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.roles import LOGINS, MAIN, dsn, provision
from infra.signer.ed25519 import FileSigner, ensure_key, public_keys
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import Recorded, chain, empty
from pipeline.checkpoint import parse_note
from pipeline.passes import full_pass
from pipeline.proofs import prove
from producers.checkpointer import Checkpointer
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, RequestId, TenantId, event_id
from schemas.requests import Decision, PolicyRef

ENTROPY, CLOCK = SystemEntropy(), SystemClock()
SECONDS = 3.0
RAW = "create table public.raw (like sluice.ledger_entry including indexes)"
RAW_INSERT = """
insert into public.raw select $1, * from
  unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],
         $7::timestamptz[], $8::bytea[], $9::bytea[])
"""
DECISIONS = tuple(
    Decision(stage="screening", control=guard, verdict="allowed")
    for guard in ("phrases", "secrets", "pii")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The opened ledger."""

    admin: asyncpg.Pool
    ledger: PostgresLedger
    logs: PostgresLogs
    signer: Path


def events(tenants: Sequence[TenantId]) -> Iterator[Recorded]:
    """Records of a usual size, tenant after tenant, without end."""
    policy = PolicyRef(id="default", version=1, sha256="0" * 64)
    guards = ("phrases", "secrets", "pii")
    while True:
        for tenant in tenants:
            request = RequestId(ENTROPY.uuid7())
            attributes = Attributes(
                id=event_id(request, "bench"),
                type=AuditRecorded.kind,
                source="/sluice/bench",
                subject=request,
                tenant=tenant,
                time=CLOCK.now(),
            )
            data = AuditRecorded(
                action="request.screened",
                actor=Actor("key:bench"),
                status="allowed",
                request_id=request,
                decision=DECISIONS,
                guards_required=guards,
                guards_ran=guards,
                policy=policy,
                model="bench-1",
            )
            yield Event(attributes, data)


def new_tenants(count: int) -> list[TenantId]:
    return [TenantId(ENTROPY.uuid7()) for _ in range(count)]


async def rate(step: Callable[[], Awaitable[int]]) -> float:
    """Rows a second over some seconds of steps; the first is not counted."""
    await step()
    rows, start = 0, perf_counter()
    while perf_counter() - start < SECONDS:
        rows += await step()
    return rows / (perf_counter() - start)


async def appending(bench: Bench, tenants: int, size: int) -> float:
    source = events(new_tenants(tenants))
    ready = [list(islice(source, size)) for _ in range(20)]

    async def step() -> int:
        batch = ready.pop() if ready else list(islice(source, size))
        await bench.ledger.append(batch)
        return size

    return await rate(step)


async def inserting(bench: Bench, size: int) -> float:
    """The raw limit: the same rows, made before."""
    (tenant,) = new_tenants(1)
    source, head = events([tenant]), empty("ledger.bench/raw")

    async def step() -> int:
        nonlocal head
        chained = chain(head, islice(source, size))
        head = chained.head
        rows = chained.entries
        columns = [
            [each.seq for each in rows],
            [each.event_id for each in rows],
            [each.request_id for each in rows],
            [each.action for each in rows],
            [each.actor for each in rows],
            [CLOCK.now() for _ in rows],
            [each.body for each in rows],
            [each.leaf for each in rows],
        ]
        start = perf_counter()
        await bench.admin.execute(RAW_INSERT, tenant, *columns)
        spent.append(perf_counter() - start)
        return size

    spent: list[float] = []
    await rate(step)
    return size * len(spent) / sum(spent)


async def passing(bench: Bench, rows: int) -> None:
    """A log of so many rows: full pass, checkpoint, proofs."""
    (tenant,) = new_tenants(1)
    source = events([tenant])
    for _ in range(rows // 1000):
        await bench.ledger.append(list(islice(source, 1000)))
    checkpointer = Checkpointer(
        ledger=bench.ledger,
        logs=bench.logs,
        signer=FileSigner(bench.signer, CLOCK),
        state=FileState(bench.signer / STATE),
        clock=CLOCK,
        log=Log("bench"),
    )
    head = await bench.logs.head(tenant)
    if head is None:
        raise LookupError("expected the log that was just written")
    start = perf_counter()
    await checkpointer.checkpoint(tenant, head)
    signed_s = perf_counter() - start
    keys = public_keys(bench.signer).named(head.origin)
    start = perf_counter()
    report = await full_pass(bench.logs, tenant, keys)
    passed = rows / (perf_counter() - start)
    note = await bench.logs.latest(tenant)
    if report is None or report.broken or note is None:
        raise AssertionError("the log does not hold")
    start, signed = perf_counter(), parse_note(note)
    for seq in range(0, rows, max(1, rows // 200)):
        await prove(bench.logs, tenant, seq, signed, note)
    proofs = 200 / (perf_counter() - start)
    print(
        f"{rows:>9,} rows: full pass {passed:>9,.0f} rows/s, first checkpoint"
        f" {signed_s:.2f} s, proofs {proofs:,.0f}/s"
    )


async def main(url: str, signer: Path, most: int) -> None:
    """Print the table."""
    names = [name for logins in LOGINS.values() for name in logins]
    urls = await provision(url, dict.fromkeys(names, "bench"))
    async with (
        asyncpg.create_pool(dsn(url, MAIN), min_size=1, max_size=2) as admin,
        asyncpg.create_pool(urls["sluice_worker"], min_size=1, max_size=2) as worker,
        asyncpg.create_pool(
            urls["sluice_checkpointer"], min_size=1, max_size=2
        ) as reader,
    ):
        await admin.execute(RAW)
        bench = Bench(
            admin=admin,
            ledger=PostgresLedger(pool=worker, domain="bench", entropy=ENTROPY),
            logs=PostgresLogs(pool=reader, role="sluice_ledger_signer"),
            signer=signer,
        )
        for size in (1, 10, 100, 1000):
            raw = await inserting(bench, size)
            print(f"batch {size:>5}: raw insert {raw:>9,.0f} rows/s")
            for tenants in (1, 10, 100):
                found = await appending(bench, tenants, size)
                print(
                    f"    {tenants:>4} tenants {found:>12,.0f} rows/s {found / raw:.2f}"
                )
        rows = 10_000
        while rows <= most:
            await passing(bench, rows)
            rows *= 10


if __name__ == "__main__":
    with local.temporary(durable=True) as stack, tempfile.TemporaryDirectory() as base:
        ensure_key(Path(base), ENTROPY.bytes(32), CLOCK.now())
        most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
        asyncio.run(main(stack.postgres_url, Path(base), most))
