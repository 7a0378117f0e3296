"""A thousand seeds: whatever goes wrong, what was promised holds. The second half."""

import pytest

from tests.simulation.seeds import HALVES, share, swept

pytestmark = pytest.mark.long


@pytest.mark.parametrize("part", HALVES[1])
def test_no_seed_breaks_a_promise(part: int) -> None:
    failed = swept(share(part))

    assert failed is None, failed
