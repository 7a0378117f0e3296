"""What the driver raises, as what happens next."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from infra.postgres.logs import AWAY
from pipeline.errors import RetryableError

_AWAY = (
    *AWAY,
    asyncpg.CheckViolationError,  # no partition for the day: nobody made it yet
)


@contextmanager
def waiting() -> Iterator[None]:
    """Turn "the keystore is away" into ``RetryableError``; its text holds no value."""
    try:
        yield
    except _AWAY as error:
        raise RetryableError(f"the keystore is away: {type(error).__name__}") from None
