"""Which deliveries are sent once more, and as which attempt."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.repeats import (
    DONE,
    MOST_ATTEMPTS,
    STATES,
    Repeat,
    Standing,
    number,
    repeat,
)
from pipeline.webhooks import KEPT
from schemas.webhooks import WebhookDue
from tests.support.audit import NOON

FAILED = Standing(
    state="exhausted", attempt=10, age=timedelta(hours=76), leased=False, disabled=False
)
SECOND = timedelta(seconds=1)
STANDING = st.builds(
    Standing,
    state=st.sampled_from(STATES),
    attempt=st.integers(1, MOST_ATTEMPTS),
    age=st.timedeltas(timedelta(), 2 * KEPT),
    leased=st.booleans(),
    disabled=st.booleans(),
)


@pytest.mark.parametrize(
    ("stands", "became"),
    [
        (FAILED, Repeat.AGAIN),
        (replace(FAILED, state="skipped", attempt=1), Repeat.AGAIN),
        (replace(FAILED, age=KEPT - SECOND), Repeat.AGAIN),
        (replace(FAILED, attempt=MOST_ATTEMPTS - 1), Repeat.AGAIN),
        (replace(FAILED, attempt=MOST_ATTEMPTS), Repeat.TOO_OFTEN),
        (replace(FAILED, age=KEPT), Repeat.OLD),
        (replace(FAILED, disabled=True), Repeat.DISABLED),
        (replace(FAILED, state="skipped", disabled=True), Repeat.DISABLED),
        (replace(FAILED, state="delivered", disabled=True), Repeat.DELIVERED),
        (replace(FAILED, state="erased"), Repeat.ERASED),
        (replace(FAILED, state="due"), Repeat.SOONER),
        (replace(FAILED, state="due", attempt=MOST_ATTEMPTS), Repeat.SOONER),
        (replace(FAILED, state="due", leased=True), Repeat.UNDER_WAY),
        (replace(FAILED, state="due", disabled=True), Repeat.DISABLED),
        (replace(FAILED, state="due", age=KEPT), Repeat.OLD),
    ],
)
def test_what_failed_or_waits_is_repeated_and_the_rest_says_why_not(
    stands: Standing, became: Repeat
) -> None:
    assert became is repeat(stands)


@given(STANDING)
def test_what_is_due_then_can_be_named_and_is_new_unless_it_waits(
    stands: Standing,
) -> None:
    if repeat(stands) not in DONE:
        return
    due = WebhookDue(
        delivery="00000000-0000-7000-8000-000000000001",
        attempt=number(stands),
        not_before=NOON,
    )

    assert (stands.state == "due") is (due.attempt == stands.attempt)


def test_no_event_names_an_attempt_beyond() -> None:
    with pytest.raises(ValidationError):
        WebhookDue(
            delivery="00000000-0000-7000-8000-000000000001",
            attempt=MOST_ATTEMPTS + 1,
            not_before=NOON,
        )


def test_what_it_says_names_the_bounds_that_there_are() -> None:
    assert str(MOST_ATTEMPTS) in Repeat.TOO_OFTEN
    assert f"{KEPT.days} days" in Repeat.OLD
