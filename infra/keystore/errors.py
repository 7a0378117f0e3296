"""What the driver raises, as what happens next."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from pipeline.errors import RetryableError

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # the pool or the connection was closed under us
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # also statement_timeout
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # deadlocks
    asyncpg.ReadOnlySQLTransactionError,  # a standby, while the primary moves
    asyncpg.CheckViolationError,  # no partition for the day: nobody made it yet
)


@contextmanager
def waiting() -> Iterator[None]:
    """Turn "the keystore is away" into ``RetryableError``; its text holds no value."""
    try:
        yield
    except _AWAY as error:
        raise RetryableError(f"the keystore is away: {type(error).__name__}") from None
