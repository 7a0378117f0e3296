"""kill -9 of everything there is, under load: `make chaos` in small."""

from pathlib import Path

import pytest

from tests.chaos.plan import KINDS
from tests.chaos.run import chaos

pytestmark = [pytest.mark.e2e, pytest.mark.long]

KILLS = 24
SEED = 5
IDLE = {"webhook_retries_5m"}
"""What is refused twice comes again after five minutes: `make chaos` waits for that."""


@pytest.mark.timeout(1_200)
async def test_everything_is_killed_with_work_in_hand_and_every_promise_is_kept(
    tmp_path: Path,
) -> None:
    report = await chaos(tmp_path, seed=SEED, kills=KILLS, patient=False)

    assert [] == report.broken
    assert KILLS == len(report.deaths)
    assert {*KINDS} == {death.victim for death in report.deaths}
    assert {*KINDS} - IDLE <= {death.victim for death in report.deaths if death.in_hand}
