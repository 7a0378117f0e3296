"""Webhooks: what is said, how it is signed, and when it is said again.

Standard Webhooks 1.0.0: the id stays the same on every retry and on replay, the
timestamp is that of the attempt, and each attempt is signed anew.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import orjson

from schemas.ids import derived

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix, not a secret
SECRET_BYTES: Final = 32
MAX_BODY_BYTES: Final = 20_000
MAX_LIVE_SECRETS: Final = 3

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
SCHEDULE: Final = (
    timedelta(),
    timedelta(seconds=5),
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""Delay before each attempt; the first is at once, the last is the tenth."""
JITTER: Final = 0.2
PATIENCE: Final = _MINUTE
"""The least wait after a timeout or a 429."""
RETRY_AFTER_LIMIT: Final = 24 * _HOUR
KEPT: Final = timedelta(days=30)
"""Messages, deliveries and attempts; the whole schedule takes three days."""

_OK: Final = range(200, 300)
_GONE: Final = 410
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Secret:
    """One of an endpoint's secrets; ``repr`` is silent about it.

    Attributes:
        key: 32 random bytes.
        not_after: until when it also signs; None: the current one.
    """

    key: bytes = field(repr=False)
    not_after: datetime | None = None

    @property
    def text(self) -> str:
        """As the subscriber keeps it: ``whsec_`` and padded base64."""
        return SECRET_PREFIX + b64encode(self.key).decode()

    @property
    def hint(self) -> str:
        """Its last four characters, to tell secrets apart."""
        return self.text[-4:]


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and base64 of HMAC-SHA-256 over id, timestamp and the raw body."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + b64encode(hmac.digest(key, signed, sha256)).decode()


def headers(
    secrets: Sequence[Secret], message_id: str, now: datetime, body: bytes
) -> Mapping[str, str]:
    """The headers of one attempt, signed by every secret that is live ``now``.

    ``secrets`` newest first. One space stands between signatures and none at the end:
    verifiers split on it.

    Raises:
        ValueError: no secret is live.
    """
    at = int(now.timestamp())
    live = [s for s in secrets if s.not_after is None or now < s.not_after]
    if not live:
        raise ValueError("expected a live secret")
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(
            signature(s.key, message_id, at, body) for s in live[:MAX_LIVE_SECRETS]
        ),
    }


def body(event: str, kind: str, created: datetime, data: Mapping[str, Any]) -> bytes:
    """The exact bytes that are signed and sent: OpenAI's event and Standard Webhooks'.

    ``data`` holds ids and words of ours, never a prompt or a completion.

    Raises:
        ValueError: the body is larger than 20 kB.
    """
    whole = orjson.dumps(
        {
            "id": event,
            "object": "event",
            "created_at": int(created.timestamp()),
            "type": kind,
            "timestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": data,
        }
    )
    if len(whole) > MAX_BODY_BYTES:
        raise ValueError("expected a body of less than 20 kB")
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt went.

    Attributes:
        status: the response's; None where there was none.
        error: ``timeout``, ``connection``, ``tls``, ``target_forbidden``; None where
            there was a response.
        retry_after: what the response asked for.
    """

    status: int | None
    error: str | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The subscriber took it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Attempt number ``attempt`` is due ``delay`` from now."""

    attempt: int
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The last attempt failed; there is no other."""


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the endpoint is disabled at once."""


Next: TypeAlias = Delivered | Again | Exhausted | Gone


def judge(attempt: int, seen: Attempt, jitter: float, *, moved: bool = False) -> Next:
    """What follows from attempt number ``attempt`` (from 1).

    Law: delays never fall below the schedule, nor rise above 1.2 times of it, but for
    what a 429, a timeout or ``Retry-After`` asks for.

    ``jitter`` is uniform in [0, 1). ``moved``: the endpoint has another address by now,
    so that the one that was asked is gone is a failure as any other.
    """
    if seen.status is not None and seen.status in _OK:
        return Delivered()
    if seen.status == _GONE and not moved:
        return Gone()
    if attempt >= len(SCHEDULE):
        return Exhausted()
    delay = SCHEDULE[attempt] * (1 + JITTER * jitter)
    if seen.status == _TOO_MANY or seen.error == "timeout":
        delay = max(delay, PATIENCE)
    if seen.retry_after is not None:
        delay = max(delay, min(seen.retry_after, RETRY_AFTER_LIMIT))
    return Again(attempt + 1, delay)


def by_topic(again: Again) -> timedelta | None:
    """Which of the two delaying topics it goes back by; None: through the sweeper.

    A topic delays all its records alike, so what waits longer than usual goes through
    the sweeper, and so does all that can be cancelled while it waits.
    """
    usual = SCHEDULE[again.attempt - 1]
    if again.attempt - 1 in _ON_TOPICS and again.delay <= usual * (1 + JITTER):
        return usual
    return None


_ON_TOPICS: Final = (1, 2)
FAILURES_IN_A_ROW: Final = 5
WINDOW: Final = timedelta(seconds=30)
WINDOW_ATTEMPTS: Final = 10
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = 10 * _MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """An endpoint's breaker; pure, kept in the endpoint's row.

    Attributes:
        row: failures in a row.
        since: when the window that is being counted began.
        open_until: no attempt before then; afterwards one probe at a time.
        pause: how long it was opened the last time.
    """

    row: int = 0
    since: datetime | None = None
    attempts: int = 0
    failures: int = 0
    open_until: datetime | None = None
    pause: timedelta = timedelta()

    def after(self, now: datetime, *, success: bool) -> "Breaker":
        """The breaker after one more attempt; every attempt counts.

        What fails while it is open set out before, beside the one that opened it.
        """
        if success and self.open_until is not None:
            return Breaker()
        if self.open_until is not None and now < self.open_until:
            return self
        counted = self._counted(now, success=success)
        probed = self.open_until is not None
        too_many = counted.row >= FAILURES_IN_A_ROW or counted._mostly_failed  # noqa: SLF001
        return counted._opened(now) if probed or too_many else counted  # noqa: SLF001

    def _counted(self, now: datetime, *, success: bool) -> "Breaker":
        fresh = self.since is None or now - self.since >= WINDOW
        return Breaker(
            row=0 if success else self.row + 1,
            since=now if fresh else self.since,
            attempts=(0 if fresh else self.attempts) + 1,
            failures=(0 if fresh else self.failures) + (not success),
            open_until=self.open_until,
            pause=self.pause,
        )

    @property
    def _mostly_failed(self) -> bool:
        return self.attempts >= WINDOW_ATTEMPTS and 2 * self.failures >= self.attempts

    def _opened(self, now: datetime) -> "Breaker":
        pause = min(max(FIRST_PAUSE, 2 * self.pause), LONGEST_PAUSE)
        return Breaker(row=self.row, open_until=now + pause, pause=pause)


FAILS_FOR: Final = timedelta(days=5)
FAILURES_SPAN: Final = timedelta(hours=12)
Why = Literal["gone", "failing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an endpoint fares; pure, kept in its row.

    Attributes:
        failing_since: the first failure after the last success.
        last_success_at: None: there was none yet.
    """

    breaker: Breaker = Breaker()
    failing_since: datetime | None = None
    last_success_at: datetime | None = None

    def after(self, now: datetime, *, success: bool) -> "Health":
        """The health after one more attempt."""
        breaker = self.breaker.after(now, success=success)
        if success:
            return Health(breaker=breaker, last_success_at=now)
        return Health(
            breaker=breaker,
            failing_since=self.failing_since or now,
            last_success_at=self.last_success_at,
        )

    def failing(self, now: datetime, made: datetime) -> bool:
        """No success for five days, with failures that span twelve hours?

        ``made``: when the endpoint was made or enabled; it had no chance before.
        """
        if self.failing_since is None:
            return False
        since = max(self.last_success_at or made, made)
        return now - since >= FAILS_FOR and now - self.failing_since >= FAILURES_SPAN

    def gives_up(self, last: Next, now: datetime, made: datetime) -> Why | None:
        """Why the endpoint is disabled now that an attempt ended as ``last``."""
        if isinstance(last, Gone):
            return "gone"
        return "failing" if self.failing(now, made) else None


def opens_at(
    breaker: Breaker, probing_until: datetime | None, now: datetime
) -> datetime | None:
    """Until when a delivery waits for its endpoint; None: it may be attempted."""
    if breaker.open_until is None:
        return None
    if now < breaker.open_until:
        return breaker.open_until
    return probing_until if probing_until is not None and now < probing_until else None


def message_id(cause: str, kind: str) -> str:
    """``msg_`` and 26 characters (Crockford's base32), derived from what it tells."""
    number, digits = UUID(derived(cause, kind)).int, ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = _CROCKFORD[digit] + digits
    return "msg_" + digits


_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
