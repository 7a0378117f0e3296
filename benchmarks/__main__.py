"""``make bench``: the pipeline beside the raw limit and a direct call, in one run.

    python -m benchmarks [--requests N]

All on one machine: Kafka, Postgres, the stand-in provider, the load. Bounded in
requests; speaks to loopback alone; stops by itself.
"""

import argparse
import asyncio
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.cpu import cpu_seconds
from benchmarks.load import Send, closed, paced, poster
from benchmarks.raw import RawHops, make_topics
from demo import stack
from demo.launch import Access, Sluice
from infra.system import SystemClock

RESULTS: Final = Path(__file__).parent / "results.json"
HOME: Final = Path(__file__).parents[1] / ".sluice" / "bench"
CLIENTS: Final = 64
PACED_PER_S: Final = 20.0
PACED: Final = 200
CLOCK: Final = SystemClock()

FINDINGS: Final = (
    "My name is Marta Lindqvist. Card 4111 1111 1111 1111, phone +1 202-555-0143,"
    " mail marta.lindqvist@example.org, IBAN DE89 3704 0044 0532 0130 00,"
    " key AKIAIOSFODNN7EXAMPLE, host 192.0.2.44. "
)
FILLER: Final = "The quarterly report is due and the garden needs water again. "


def prompt(text: str) -> bytes:
    """A chat request of about 1 KiB that begins with ``text``."""
    content = (text + FILLER * 20)[:1024]
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "echo", "messages": messages}).encode()


DENSE, CLEAN = prompt(FINDINGS), prompt("")


class Bench:
    """One installation under load."""

    def __init__(self, sluice: Sluice, access: Access, requests: int) -> None:
        self._sluice = sluice
        self._access = access
        self._requests = requests

    def _pids(self) -> Mapping[str, int]:
        kafka, postgres = self._sluice.stack.kafka_pid, self._sluice.stack.postgres_pid
        found = {name: each.pid for name, each in self._sluice.processes.items()}
        return found | {
            name: pid
            for name, pid in (("kafka", kafka), ("postgres", postgres))
            if pid is not None
        }

    async def pipeline(
        self, session: aiohttp.ClientSession, body: bytes
    ) -> dict[str, Any]:
        """Sustained rate, CPU by process, latency at a fixed rate."""
        send = self._gateway(session, body)
        await closed(send, clients=CLIENTS, requests=self._requests // 4, clock=CLOCK)
        before = cpu_seconds(self._pids())
        load = await closed(send, clients=CLIENTS, requests=self._requests, clock=CLOCK)
        used = cpu_seconds(self._pids())
        cpu = {
            name: round((used[name] - before[name]) / self._requests * 1000, 3)
            for name in before
            if name != "stand_in"
        }
        calm = await paced(send, per_s=PACED_PER_S, requests=PACED, clock=CLOCK)
        return {
            **load.row(),
            "cpu_ms_per_request": round(sum(cpu.values()), 3),
            "cpu_ms_by_process": cpu,
            "at_20_per_s": calm.row(),
        }

    def _gateway(self, session: aiohttp.ClientSession, body: bytes) -> Send:
        url = self._access.gateway + "/v1/chat/completions"
        headers = {"authorization": f"Bearer {self._access.api_key}"}
        return poster(session, url, headers, lambda _: body)

    async def direct(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """The same requests straight to the stand-in."""
        url = self._access.stand_in + "/v1/chat/completions"
        send = poster(session, url, {}, lambda _: DENSE)
        load = await closed(send, clients=CLIENTS, requests=self._requests, clock=CLOCK)
        calm = await paced(send, per_s=PACED_PER_S, requests=PACED, clock=CLOCK)
        return {**load.row(), "at_20_per_s": calm.row()}

    async def raw(self) -> dict[str, Any]:
        """The same bytes over the same number of hops, with no work."""
        await make_topics(self._access.kafka)
        async with RawHops(self._access.kafka) as hops:
            send = hops.sender(DENSE)
            load = await closed(
                send, clients=CLIENTS, requests=4 * self._requests, clock=CLOCK
            )
            calm = await paced(send, per_s=PACED_PER_S, requests=PACED, clock=CLOCK)
        return {**load.row(), "at_20_per_s": calm.row()}


async def measured(requests: int) -> dict[str, Any]:
    """Everything, in one run."""
    with stack.temporary(durable=True, local=True) as services:
        sluice = Sluice(HOME, services)
        await sluice.provide()
        try:
            await sluice.start()
            access = await asyncio.to_thread(sluice.onboard, "Bench", ("echo",))
            bench = Bench(sluice, access, requests)
            connector = aiohttp.TCPConnector(limit=2 * CLIENTS)
            async with aiohttp.ClientSession(connector=connector) as session:
                return {
                    "pipeline": await bench.pipeline(session, DENSE),
                    "pipeline_clean": await bench.pipeline(session, CLEAN),
                    "direct": await bench.direct(session),
                    "raw": await bench.raw(),
                }
        finally:
            sluice.stop()


def _shown(found: dict[str, Any]) -> None:
    table = Table("", "requests/s", "CPU ms", "p50 at 20/s", "p99 at 20/s")
    for name, row in found.items():
        calm = row["at_20_per_s"]["latency_ms"]
        cpu = str(row.get("cpu_ms_per_request", ""))
        rate = str(row["requests_per_s"])
        table.add_row(name, rate, cpu, str(calm["p50"]), str(calm["p99"]))
    Console().print(table)


def main() -> None:
    """Measure, write ``benchmarks/results.json``, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    found = asyncio.run(measured(parser.parse_args().requests))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    machine = {"cpus": _cpus(), "python": platform.python_version()}
    results = {**found, "machine": machine, "commit": commit.stdout.strip()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    _shown(found)


def _cpus() -> int:
    text = Path("/proc/cpuinfo").read_text()
    return text.count("processor\t")


if __name__ == "__main__":
    main()
