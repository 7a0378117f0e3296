"""From an error to a decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.attempts import (
    ATTEMPTS,
    LONGEST_WAIT_S,
    Again,
    Bury,
    Halt,
    Reason,
    back_off,
    judge,
)
from infra.system import SystemEntropy
from pipeline.errors import (
    IntegrityError,
    InvalidMessage,
    KeyDestroyed,
    RetryableError,
    place,
)


def test_an_invalid_record_is_buried_at_once_under_its_fields_name() -> None:
    error = InvalidMessage("expected a name", "RequestAccepted.terms")

    assert Bury(Reason.INVALID_MESSAGE, "RequestAccepted.terms") == judge(error, 0)


@given(st.integers(0, 10_000))
def test_what_everyone_shares_has_no_last_attempt(failed: int) -> None:
    assert Again() == judge(RetryableError("away"), failed)


def test_a_contradiction_halts() -> None:
    assert Halt() == judge(IntegrityError("broken chain"), 0)


@pytest.mark.parametrize("error", [ValueError(), KeyDestroyed(), TimeoutError()])
def test_any_other_error_is_tried_five_times(error: Exception) -> None:
    assert Again() == judge(error, ATTEMPTS - 1)
    assert isinstance(judge(error, ATTEMPTS), Bury)


def test_a_place_is_a_class_and_a_line_and_not_a_text() -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        raise ValueError("secret")

    told = place(caught.value)

    assert told.startswith("ValueError test_attempts.py:")
    assert "secret" not in told


@given(st.integers(0, 100_000))
def test_a_wait_is_never_longer_than_a_minute(waits: int) -> None:
    assert 0 <= back_off(waits, SystemEntropy()) <= LONGEST_WAIT_S


def test_waits_are_spread() -> None:
    entropy = SystemEntropy()

    assert 90 < len({back_off(6, entropy) for _ in range(100)})
