"""What lies beside the checkout: data and vectors, read there, never copied."""

from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared"


def shared(*parts: str) -> Path:
    """The path below ``../shared``; the test is skipped, loudly, where it is not."""
    path = BESIDE.joinpath(*parts)
    if not path.exists():
        pytest.skip(
            f"{'/'.join(('../shared', *parts))} does not lie beside the checkout"
        )
    return path
