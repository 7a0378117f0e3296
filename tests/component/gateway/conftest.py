"""A gateway on twins."""

from pathlib import Path

import pytest

from tests.support.gateway import World


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await World(tmp_path).begin()
