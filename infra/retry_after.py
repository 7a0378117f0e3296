"""``Retry-After``, as servers answer it."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_DIGITS: Final = 9
"""More of them are no seconds of anybody's."""


def asked(given: str | None, now: datetime, most: timedelta) -> timedelta | None:
    """What a server asks for, ``most`` at most; None: nothing usable.

    Source: RFC 9110, section 10.2.3: seconds, or a date.
    """
    if not given:
        return None
    if given.isdecimal() and len(given) <= _DIGITS:
        return min(timedelta(seconds=int(given)), most)
    try:
        moment = parsedate_to_datetime(given)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return min(max(moment - now, timedelta()), most)
