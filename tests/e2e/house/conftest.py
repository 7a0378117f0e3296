"""All of Sluice as processes, on the worker's own stack."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import stack as local
from demo.launch import Access, Sluice


@pytest.fixture(scope="package")
def sluice(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Sluice, Access]]:
    """It runs for all of these tests, on a stack of its own.

    Logins belong to the cluster, so other tests' installations would change their
    passwords under it.
    """
    with local.temporary(durable=False) as stack:
        made = Sluice(tmp_path_factory.mktemp("sluice"), stack)

        async def begin() -> None:
            await made.provide()
            await made.start()

        try:
            asyncio.run(begin())
            yield made, made.onboard("Acme")
        finally:
            made.stop()


@pytest.fixture(scope="package")
def access(sluice: tuple[Sluice, Access]) -> Access:
    return sluice[1]


@pytest.fixture(scope="package")
def gateway_url(access: Access) -> str:
    return access.gateway


@pytest.fixture(scope="package")
def api_key(access: Access) -> str:
    return access.api_key


@pytest.fixture(scope="package")
def logs(sluice: tuple[Sluice, Access]) -> Path:
    return sluice[0].root / "logs"
