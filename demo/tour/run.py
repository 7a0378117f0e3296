"""The tour itself: everything from nothing, every claim checked."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from openai import AsyncOpenAI
from rich.console import Console

from demo import stack
from demo.launch import Access, Sluice
from demo.tour import ledger
from demo.tour.checks import Checks
from demo.tour.clients import Sluice as Gateway
from demo.tour.forgetting import erased, forgotten
from demo.tour.requests import by_http, by_kafka, killed, poisoned
from demo.tour.scene import ROOT, Scene
from demo.tour.show import live
from demo.tour.subscriber import example, keeping
from demo.tour.webhooks import told_of_all


async def tour(console: Console) -> bool:
    """Start everything, look around, stop everything; was all of it true?"""
    began = time.monotonic()
    home = ROOT / "demo"
    with stack.temporary(durable=True) as services:
        shutil.rmtree(home, ignore_errors=True)
        console.print(f"[dim]{services.chosen}[/]")
        sluice = Sluice(home, services)
        await sluice.provide()
        try:
            await sluice.start()
            access = await asyncio.to_thread(
                sluice.onboard, "Acme", ("echo", "failing", "slow-2")
            )
            console.print(f"[dim]ready after {time.monotonic() - began:.0f} s[/]")
            checks = Checks(console)
            await _toured(console, checks, sluice, access)
            codes = dict(sluice.stop())
            codes.pop("subscriber")  # uvicorn ends by the signal that it was sent
            checks.that("every process stopped cleanly", set(codes.values()) == {0})
        finally:
            sluice.stop()
    took = time.monotonic() - began
    _told(console, checks, took)
    return not checks.failed


async def _toured(
    console: Console, checks: Checks, sluice: Sluice, access: Access
) -> None:
    async with _clients(access) as (sdk, gateway), keeping(sdk) as keeper:
        scene = Scene(
            console=console,
            checks=checks,
            sluice=sluice,
            access=access,
            sdk=sdk,
            gateway=gateway,
        )
        with live(console, scene.rows):
            subscriber = await example(sluice, sdk)
            await by_http(scene)
            await by_kafka(scene)
            await poisoned(scene)
            await killed(scene)
            await told_of_all(scene, keeper, subscriber)
            await forgotten(scene)
            receipt = await erased(scene)
            await ledger.counted(scene)
            await asyncio.to_thread(ledger.verified, scene)
            await ledger.written(scene, keeper, receipt)
            ledger.tampered(scene)
            ledger.shown(scene)


@asynccontextmanager
async def _clients(access: Access) -> AsyncIterator[tuple[AsyncOpenAI, Gateway]]:
    base = access.gateway + "/v1"
    async with (
        AsyncOpenAI(api_key=access.api_key, base_url=base, max_retries=0) as sdk,
        aiohttp.ClientSession() as session,
    ):
        yield sdk, Gateway(session, access.gateway, access.api_key)


def _told(console: Console, checks: Checks, took: float) -> None:
    console.print()
    if checks.failed:
        console.print(f"[bold red]{len(checks.failed)} of {checks.count} failed:[/]")
        for claim in checks.failed:
            console.print(f"  ✗ {claim}")
        console.print("The processes' logs lie in .sluice/demo/logs.")
        return
    console.print(f"[bold green]All {checks.count} claims held, in {took:.0f} s.[/]")
    console.print("Go on with your own requests: [bold]make up[/]")
