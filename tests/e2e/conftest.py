"""All of Sluice as processes, on the worker's own stack."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.launch import Access, Sluice
from demo.stack import Stack


@pytest.fixture(scope="session")
def sluice(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sluice, Access]]:
    """It runs for the whole session of this worker."""
    made = Sluice(tmp_path_factory.mktemp("sluice"), stack)

    async def begin() -> None:
        await made.provide()
        await made.start()

    asyncio.run(begin())
    try:
        yield made, made.onboard("Acme")
    finally:
        made.stop()


@pytest.fixture(scope="session")
def access(sluice: tuple[Sluice, Access]) -> Access:
    return sluice[1]


@pytest.fixture(scope="session")
def gateway_url(access: Access) -> str:
    return access.gateway


@pytest.fixture(scope="session")
def api_key(access: Access) -> str:
    return access.api_key


@pytest.fixture(scope="session")
def logs(sluice: tuple[Sluice, Access]) -> Path:
    return sluice[0].root / "logs"
