"""Signatures, schedule, breaker and health."""

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.webhooks import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    SCHEDULE,
    Again,
    Attempt,
    Breaker,
    Delivered,
    Exhausted,
    Gone,
    Health,
    Secret,
    body,
    by_topic,
    headers,
    judge,
    message_id,
    opens_at,
    signature,
)

NOW = datetime.now(UTC)  # noqa: TID251 - the verifiers look at the real clock
NEW = Secret(bytes(range(32)))
OLD = Secret(bytes(range(32, 64)), not_after=NOW + timedelta(hours=1))
BODY = body("evt_1", "response.completed", NOW, {"id": "resp_1", "name": "é"})
FORM = re.compile(r"v1,[A-Za-z0-9+/]+=*( v1,[A-Za-z0-9+/]+=*)*")


def test_the_published_vector() -> None:
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(
        key,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_openais_vector() -> None:
    """The event and signature that every SDK of OpenAI's is tested with."""
    body = (
        b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event",'
        b' "created_at": 1750861210, "type": "response.completed",'
        b' "data": {"id": "resp_123"}}'
    )
    key = b64decode("RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=")
    signed = signature(key, "wh_685c059ae39c8190af8c71ed1022a24d", 1750861210, body)

    assert signed == "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_other_peoples_verifiers_take_either_secret(secret: Secret) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - not when this file was read
    sent = dict(headers([NEW, OLD], "msg_1", now, BODY))

    assert FORM.fullmatch(sent["webhook-signature"])
    assert Webhook(secret.text).verify(BODY, sent)
    with OpenAI(api_key="none", webhook_secret=secret.text) as client:
        assert client.webhooks.unwrap(BODY, sent).type == "response.completed"


def test_an_expired_secret_signs_no_more() -> None:
    later = NOW + timedelta(hours=1)
    sent = dict(headers([NEW, OLD], "msg_1", later, BODY))

    assert " " not in sent["webhook-signature"]
    with pytest.raises(ValueError, match="live secret"):
        headers([OLD], "msg_1", later, BODY)


def test_no_more_than_three_secrets_sign_and_the_newest_do() -> None:
    keys = [bytes([each] * 32) for each in range(4)]
    live = NOW + timedelta(hours=1)
    secrets = [Secret(keys[0]), *(Secret(key, not_after=live) for key in keys[1:])]
    sent = headers(secrets, "msg_1", NOW, BODY)

    at = int(NOW.timestamp())
    assert [signature(key, "msg_1", at, BODY) for key in keys[:3]] == (
        sent["webhook-signature"].split(" ")
    )


def test_a_message_s_id_is_derived_from_what_it_tells() -> None:
    ids = [
        message_id(cause, kind)
        for cause in ("evt_1", "evt_2")
        for kind in ("request.completed", "request.failed")
    ]

    assert 4 == len(set(ids))
    assert ids[0] == message_id("evt_1", "request.completed")
    assert all(re.fullmatch(r"msg_[0-9A-HJKMNP-TV-Z]{26}", each) for each in ids)


def test_a_forged_body_is_refused() -> None:
    sent = dict(headers([NEW], "msg_1", NOW, BODY))

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW.text).verify(BODY + b" ", sent)


def test_a_secret_is_silent() -> None:
    assert repr(NEW) == "Secret(not_after=None)"


def test_an_oversized_body_is_refused() -> None:
    rest = len(body("evt_1", "response.completed", NOW, {"id": ""}))
    full = body("evt_1", "response.completed", NOW, {"id": "x" * (20_000 - rest)})

    assert 20_000 == len(full)
    with pytest.raises(ValueError, match="20 kB"):
        body("evt_1", "response.completed", NOW, {"id": "x" * (20_001 - rest)})


def test_the_schedule_is_the_documented_one() -> None:
    minutes = [0, 5 / 60, 5, 30, *(60 * hours for hours in (2, 5, 10, 14, 20, 24))]

    assert [timedelta(minutes=each) for each in minutes] == list(SCHEDULE)


@pytest.mark.parametrize(
    ("attempt", "seen", "jitter", "waits_s"),
    [
        (1, Attempt(status=500), 0.0, 5),
        (1, Attempt(status=500), 0.99, 5),
        (2, Attempt(status=500), 0.99, 300),
        (3, Attempt(status=500), 0.0, None),
        (1, Attempt(status=429), 0.0, None),
        (2, Attempt(status=429), 0.0, 300),
        (1, Attempt(status=None, error="timeout"), 0.0, None),
        (1, Attempt(status=503, retry_after=timedelta(seconds=7)), 0.0, None),
        (2, Attempt(status=503, retry_after=timedelta(seconds=7)), 0.0, 300),
    ],
)
def test_what_waits_as_long_as_usual_goes_back_by_a_topic(
    attempt: int, seen: Attempt, jitter: float, waits_s: int | None
) -> None:
    """A topic delays all its records alike: what waits longer must not come early."""
    again = judge(attempt, seen, jitter)

    assert isinstance(again, Again)
    assert by_topic(again) == (None if waits_s is None else timedelta(seconds=waits_s))


@given(st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_delays_keep_to_the_schedule(attempt: int, jitter: float) -> None:
    found = judge(attempt, Attempt(status=500), jitter)

    assert isinstance(found, Again)
    assert found.attempt == attempt + 1
    assert SCHEDULE[attempt] <= found.delay <= 1.2 * SCHEDULE[attempt]


def test_answers_and_what_follows() -> None:
    minute, day = timedelta(minutes=1), timedelta(days=1)

    assert Delivered() == judge(1, Attempt(status=200), 0)
    assert Delivered() == judge(1, Attempt(status=204), 0)
    assert Gone() == judge(1, Attempt(status=410), 0)
    assert Again(2, timedelta(seconds=5)) == judge(
        1, Attempt(status=410), 0, moved=True
    )
    assert Delivered() == judge(1, Attempt(status=204), 0, moved=True)
    assert Exhausted() == judge(10, Attempt(status=500), 0)
    assert Again(2, timedelta(seconds=5)) == judge(1, Attempt(status=302), 0)
    assert Again(2, minute) == judge(1, Attempt(status=429), 0)
    assert Again(2, minute) == judge(1, Attempt(status=None, error="timeout"), 0)
    asked = Attempt(status=503, retry_after=timedelta(days=9))
    assert Again(2, day) == judge(1, asked, 0)
    asked = Attempt(status=503, retry_after=timedelta(seconds=1))
    assert Again(2, timedelta(seconds=5)) == judge(1, asked, 0)
    assert Again(10, day) == judge(9, Attempt(status=199), 0)
    assert Delivered() == judge(10, Attempt(status=299), 0)
    assert Again(2, timedelta(seconds=5)) == judge(1, Attempt(status=300), 0)


def test_five_failures_in_a_row_open_the_breaker_and_one_success_closes_it() -> None:
    breaker = Breaker()
    for second in range(5):
        assert breaker.open_until is None
        breaker = breaker.after(NOW + timedelta(seconds=second), success=False)

    assert NOW + timedelta(seconds=4) + FIRST_PAUSE == breaker.open_until
    assert Breaker() == breaker.after(NOW + timedelta(minutes=1), success=True)


def test_what_set_out_before_it_was_opened_does_not_open_it_again() -> None:
    breaker = Breaker()
    for second in range(9):
        breaker = breaker.after(NOW + timedelta(seconds=second), success=False)

    assert NOW + timedelta(seconds=4) + FIRST_PAUSE == breaker.open_until
    assert FIRST_PAUSE == breaker.pause


def test_each_failed_probe_doubles_the_pause_up_to_a_limit() -> None:
    now, pauses = NOW, []
    breaker = Breaker(row=5, pause=FIRST_PAUSE, open_until=now)
    for _ in range(6):
        breaker = breaker.after(now, success=False)
        pauses.append(breaker.pause)
        now += breaker.pause

    assert 2 * FIRST_PAUSE == pauses[0]
    assert timedelta(minutes=10) == LONGEST_PAUSE == pauses[-1]


def test_a_failed_probe_opens_it_again_whatever_opened_it() -> None:
    breaker = Breaker()
    for number in range(10):
        breaker = breaker.after(NOW, success=number % 2 == 0)
    probed = NOW + FIRST_PAUSE
    breaker = breaker.after(probed, success=False)

    assert probed + 2 * FIRST_PAUSE == breaker.open_until


def test_half_of_ten_failures_within_the_window_open_it_too() -> None:
    breaker = Breaker()
    for number in range(10):
        breaker = breaker.after(NOW, success=number % 2 == 0)

    assert breaker.open_until is not None


def test_fewer_than_half_or_fewer_than_ten_do_not() -> None:
    for failures in ((1, 2, 5, 8), (1, 3, 4, 6, 8)):
        breaker = Breaker()
        for number in range(10 if len(failures) < 5 else 9):
            breaker = breaker.after(NOW, success=number not in failures)

        assert breaker.open_until is None


def test_a_success_ends_the_row_and_not_the_window() -> None:
    breaker = Breaker()
    for success in (False, False, False, False, True, False):
        breaker = breaker.after(NOW, success=success)

    assert (1, 6, 5, None) == (
        breaker.row,
        breaker.attempts,
        breaker.failures,
        breaker.open_until,
    )


def test_failures_that_are_far_apart_do_not_open_it() -> None:
    breaker = Breaker()
    for number in range(60):
        now = NOW + timedelta(seconds=4 * number)
        breaker = breaker.after(now, success=number % 2 == 0)

    assert breaker.open_until is None


@pytest.mark.parametrize(
    ("breaker", "probing_s", "opens_s"),
    [
        (Breaker(), None, None),
        (Breaker(), 60, None),
        (Breaker(open_until=NOW + timedelta(seconds=1)), None, 1),
        (Breaker(open_until=NOW + timedelta(seconds=1)), 60, 1),
        (Breaker(open_until=NOW), None, None),
        (Breaker(open_until=NOW), 60, 60),
        (Breaker(open_until=NOW), 0, None),
    ],
    ids=[
        "closed",
        "closed, though somebody probes",
        "open",
        "open, though somebody probed",
        "may be probed",
        "is being probed",
        "whoever probed is late",
    ],
)
def test_until_when_a_delivery_waits_for_its_endpoint(
    breaker: Breaker, probing_s: float | None, opens_s: float | None
) -> None:
    def moment(seconds: float | None) -> datetime | None:
        return None if seconds is None else NOW + timedelta(seconds=seconds)

    assert moment(opens_s) == opens_at(breaker, moment(probing_s), NOW)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("succeeded", "failed", "made", "failing"),
    [
        (None, (), 0.0, False),
        (None, (0.1,), 0.0, True),
        (None, (0.1,), 0.1, False),
        (None, (4.4, 4.9), 0.0, True),
        (None, (4.6, 4.9), 0.0, False),
        (0.0, (0.1, 4.9), -9.0, True),
        (0.1, (0.2, 4.9), -9.0, False),
    ],
    ids=[
        "nothing tried",
        "never a success",
        "made less than five days ago",
        "failures that span twelve hours",
        "failures that span less",
        "five days since a success",
        "less since a success",
    ],
)
def test_an_endpoint_is_given_up_after_five_days_without_success(
    succeeded: float | None, failed: tuple[float, ...], made: float, *, failing: bool
) -> None:
    health, now, start = Health(), NOW, NOW - 5 * DAY
    if succeeded is not None:
        health = health.after(start + succeeded * DAY, success=True)
    for day in failed:
        health = health.after(start + day * DAY, success=False)

    again = Again(2, timedelta())
    assert failing == health.failing(now, start + made * DAY)
    assert ("failing" if failing else None) == health.gives_up(
        again, now, start + made * DAY
    )
    assert "gone" == health.gives_up(Gone(), now, start + made * DAY)
