"""A thousand seeds: whatever goes wrong, what was promised holds."""

import pytest

from tests.simulation.seeds import SHARES, share, swept


@pytest.mark.parametrize("part", range(SHARES))
def test_no_seed_breaks_a_promise(part: int) -> None:
    failed = swept(share(part))

    assert failed is None, failed
