"""``make bench``: the pipeline beside the raw limit and a direct call, in one run.

    python -m benchmarks [--requests N] [--rows N]

The ledger's own rates follow, on a Postgres of their own (benchmarks/ledger.py).

All on one machine: Kafka, Postgres, the stand-in provider, the load. Bounded in
requests; speaks to loopback alone; stops by itself.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import ledger
from benchmarks.cpu import cpu_seconds
from benchmarks.load import Latency, Load, Send, closed, paced, poster
from benchmarks.machine import commit, machine
from benchmarks.prompts import CLEAN, DENSE, checked
from benchmarks.raw import Ends, make_topics
from consumers.app import GROUPS
from demo import stack
from demo.launch import Access, Sluice
from infra.kafka.clients import KafkaClients
from infra.kafka.lags import Lags
from infra.system import SystemClock
from schemas.topics import TOPICS

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = Path(__file__).parent / "results.json"
HOME: Final = ROOT / ".sluice" / "bench"
CLIENTS: Final = 64
PACED_PER_S: Final = 20.0
PACED: Final = 400
CLOCK: Final = SystemClock()
DRAIN_S: Final = 60
DETECTING: Final = ("screening", "redaction")
WORKERS: Final = {
    "detecting": DETECTING,
    "workers": tuple(group for group in GROUPS if group not in DETECTING),
}
"""Two processes for two cores, each with about half of the work."""
LOAD_ITSELF: Final = frozenset({"stand_in"})
"""Processes whose CPU is no part of a request's cost."""

Row = dict[str, Any]


class Bench:
    """One installation under load."""

    def __init__(self, sluice: Sluice, access: Access, requests: int) -> None:
        self._sluice = sluice
        self._access = access
        self._requests = requests
        clients = KafkaClients(access.kafka)
        self._lags = Lags(clients=clients, clock=CLOCK)

    def pids(self) -> Mapping[str, int]:
        """What is measured, by name."""
        kafka, postgres = self._sluice.stack.kafka_pid, self._sluice.stack.postgres_pid
        found = {name: each.pid for name, each in self._sluice.processes.items()}
        return {
            name: pid
            for name, pid in (*found.items(), ("kafka", kafka), ("postgres", postgres))
            if pid is not None and name not in LOAD_ITSELF
        }

    async def pipeline(self, session: aiohttp.ClientSession, body: bytes) -> Row:
        """Sustained rate, CPU by process, latency at a fixed and at half the rate."""
        send = self.gateway(session, body)
        loaded, cpu = await self.loaded(send)
        calm = await paced(send, per_s=PACED_PER_S, requests=PACED, clock=CLOCK)
        half = loaded.requests_per_s / 2
        busy = await paced(send, per_s=half, requests=self._requests // 2, clock=CLOCK)
        return {
            **loaded.row(),
            "cpu_ms_per_request": round(sum(cpu.values()), 3),
            "cpu_ms_by_process": cpu,
            "at_20_per_s": calm.row(),
            "at_half_the_rate": busy.row(),
        }

    async def loaded(self, send: Send) -> tuple[Load, dict[str, float]]:
        """All clients at once; CPU until the last effect is durable."""
        await closed(send, clients=CLIENTS, requests=self._requests // 2, clock=CLOCK)
        await self._drained()
        before = cpu_seconds(self.pids())
        load = await closed(send, clients=CLIENTS, requests=self._requests, clock=CLOCK)
        await self._drained()
        return load, spent(before, cpu_seconds(self.pids()), self._requests)

    async def _drained(self) -> None:
        """Until no group is behind: what follows an answer is of its cost too."""
        for _ in range(DRAIN_S):
            if not sum(each.lag for each in await self._lags.of(TOPICS)):
                return
            await CLOCK.sleep(1.0)
        raise TimeoutError(f"groups are behind {DRAIN_S} s after the load")

    def gateway(self, session: aiohttp.ClientSession, body: bytes) -> Send:
        """Through all of Sluice."""
        url = self._access.gateway + "/v1/chat/completions"
        headers = {"authorization": f"Bearer {self._access.api_key}"}
        return poster(session, url, headers, lambda _: body)

    async def direct(self, session: aiohttp.ClientSession) -> Row:
        """The same requests straight to the stand-in."""
        url = self._access.stand_in + "/v1/chat/completions"
        send = poster(session, url, {}, lambda _: DENSE)
        pids = {"stand_in": self._sluice.processes["stand_in"].pid}
        return await self._measured(send, pids, self._requests)

    async def raw(self) -> Row:
        """The same bytes over the same number of hops, with no work."""
        kafka = self._sluice.stack.kafka_pid
        await make_topics(self._access.kafka)
        async with _hops(self._access.kafka) as pid, Ends(self._access.kafka) as ends:
            pids = {"hops": pid} | ({"kafka": kafka} if kafka else {})
            return await self._measured(ends.sender(DENSE), pids, 4 * self._requests)

    async def _measured(
        self, send: Send, pids: Mapping[str, int], requests: int
    ) -> Row:
        await closed(send, clients=CLIENTS, requests=requests // 4, clock=CLOCK)
        before = cpu_seconds(pids)
        load = await closed(send, clients=CLIENTS, requests=requests, clock=CLOCK)
        cpu = spent(before, cpu_seconds(pids), requests)
        calm = await paced(send, per_s=PACED_PER_S, requests=PACED, clock=CLOCK)
        return {
            **load.row(),
            "cpu_ms_per_request": round(sum(cpu.values()), 3),
            "cpu_ms_by_process": cpu,
            "at_20_per_s": calm.row(),
        }


def spent(
    before: Mapping[str, float], after: Mapping[str, float], requests: int
) -> dict[str, float]:
    """CPU milliseconds a request, by process."""
    return {
        name: round((after[name] - before[name]) / requests * 1000, 3)
        for name in before
    }


@asynccontextmanager
async def _hops(bootstrap: str) -> AsyncIterator[int]:
    """The hops as a process; its pid."""
    module = (sys.executable, "-m", "benchmarks.raw", bootstrap)
    process = await asyncio.create_subprocess_exec(*module, cwd=ROOT)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _by_group(sluice: Sluice, access: Access, requests: int) -> Row:
    """CPU of each group, every group a process of its own."""
    sluice.stop()
    await sluice.start({group: [group] for group in GROUPS})
    bench = Bench(sluice, access, requests)
    async with aiohttp.ClientSession() as session:
        load, cpu = await bench.loaded(bench.gateway(session, DENSE))
    return {**load.row(), "cpu_ms_by_process": cpu}


async def measured(requests: int) -> Row:
    """Everything, in one run."""
    with stack.temporary(durable=True, local=True) as services:
        sluice = Sluice(HOME, services)
        await sluice.provide()
        try:
            await sluice.start(WORKERS)
            access = await asyncio.to_thread(sluice.onboard, "Bench", ("echo",))
            bench = Bench(sluice, access, requests)
            connector = aiohttp.TCPConnector(limit=2 * CLIENTS)
            async with aiohttp.ClientSession(connector=connector) as session:
                findings = await checked(session, access)
                found = {
                    "pipeline": await bench.pipeline(session, DENSE),
                    "pipeline_clean": await bench.pipeline(session, CLEAN),
                    "direct": await bench.direct(session),
                    "raw": await bench.raw(),
                }
            found["by_group"] = await _by_group(sluice, access, requests // 2)
        finally:
            sluice.stop()
    return {**found, "findings": findings, "added": _added(found)}


def _added(found: Row) -> Row:
    """Milliseconds that the pipeline adds to a direct call, at 20 requests a second."""
    ours, theirs = (
        found[name]["at_20_per_s"]["latency_ms"] for name in ("pipeline", "direct")
    )
    return {at: round(ours[at] - theirs[at], 2) for at in Latency.__annotations__}


def _shown(found: Row) -> None:
    table = Table(
        "", "requests/s", "CPU ms", "p50 at 20/s", "p95", "p99", "p50 at half"
    )
    for name in ("pipeline", "pipeline_clean", "direct", "raw"):
        row = found[name]
        calm = row["at_20_per_s"]["latency_ms"]
        half = row.get("at_half_the_rate", {}).get("latency_ms", {})
        cells = (row["requests_per_s"], row["cpu_ms_per_request"], *calm.values())
        table.add_row(name, *map(str, cells), str(half.get("p50", "")))
    console = Console()
    console.print(table)
    for name in ("pipeline", "by_group"):
        console.print(name, found[name]["cpu_ms_by_process"])
    console.print("added at 20/s, ms", found["added"])
    for row in (*found["ledger"]["append"], *found["ledger"]["by_size"]):
        console.print("ledger", row)


def main() -> None:
    """Measure, write ``benchmarks/results.json``, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=ledger.FEWEST)
    parser.add_argument("--seconds", type=float, default=3.0)
    words = parser.parse_args()
    found = uvloop.run(measured(words.requests))
    found["ledger"] = ledger.run(words.rows, words.seconds)
    results = {**found, "machine": machine(), "commit": commit()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    _shown(found)


if __name__ == "__main__":
    main()
