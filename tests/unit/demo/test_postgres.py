"""Postgres after a kill: its processes end later than it does, and say so."""

import pytest

from demo.stack.postgres import met_left_over

AT = "2026-01-01 12:00:00.000 UTC"
ENDING = f"{AT} [17] FATAL:  terminating connection due to unexpected postmaster exit"
HINT = f'{AT} [21] HINT:  Terminate any old server processes associated with "data"'
MET = {
    "memory": f"{AT} [21] FATAL:  pre-existing shared memory block (key 9) is in use",
    "a lock": f'{AT} [21] FATAL:  lock file "postmaster.pid" already exists',
}
BROKEN = f"{AT} [21] FATAL:  data directory has wrong ownership"


def met(*lines: str) -> bool:
    return met_left_over("\n".join(lines).encode(), 21)


@pytest.mark.parametrize("how", MET)
def test_who_still_ends_is_waited_for_although_he_has_the_last_word(how: str) -> None:
    assert met(ENDING, MET[how])
    assert met(ENDING, MET[how], HINT, ENDING, ENDING, ENDING)


def test_another_end_is_no_reason_to_try_again() -> None:
    assert not met(ENDING, BROKEN)
    assert not met()


@pytest.mark.parametrize("how", MET)
def test_what_an_earlier_start_met_is_past(how: str) -> None:
    assert not met(MET[how].replace("[21]", "[20]"), BROKEN)
