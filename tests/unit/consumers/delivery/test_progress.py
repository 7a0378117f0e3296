"""A member is alive while it moves, or while it knows why not."""

import pytest

from consumers.delivery.progress import MOVES_WITHIN_S, Progress
from tests.support.delivery import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def progress(clock: HandClock) -> Progress:
    return Progress(clock)


def see(
    progress: Progress,
    *,
    taken: int = 0,
    finished: int = 0,
    lag: int | None = 5,
    excused: bool = False,
) -> None:
    progress.saw(0, taken=taken, finished=finished, lag=lag, excused=excused)


async def test_lag_without_movement_is_a_stall(
    progress: Progress, clock: HandClock
) -> None:
    see(progress)
    await clock.pass_by(MOVES_WITHIN_S)
    before = progress.stalled
    await clock.pass_by(1)
    see(progress)

    assert (False, True) == (before, progress.stalled)


@pytest.mark.parametrize(
    "seen", [{"taken": 1}, {"finished": 1}, {"lag": 0}, {"excused": True}]
)
async def test_movement_or_a_reason_is_none(
    progress: Progress, clock: HandClock, seen: dict[str, int]
) -> None:
    see(progress)
    await clock.pass_by(MOVES_WITHIN_S)
    see(progress, **seen)  # type: ignore[arg-type]
    await clock.pass_by(1)

    assert not progress.stalled


async def test_a_broker_that_answers_others_but_not_us_is_a_stall(
    progress: Progress, clock: HandClock
) -> None:
    see(progress, lag=None)
    await clock.pass_by(MOVES_WITHIN_S + 1)
    see(progress, lag=None)

    assert progress.stalled


async def test_a_lost_partition_is_forgotten(
    progress: Progress, clock: HandClock
) -> None:
    see(progress)
    await clock.pass_by(MOVES_WITHIN_S + 1)
    progress.keep(frozenset())

    assert not progress.stalled
