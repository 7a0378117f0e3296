"""Which errors of a database are waited for: what is not is buried after some tries."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import asyncpg
import pytest

from infra.keystore.errors import waiting as waiting_for_keys
from infra.postgres.logs import waiting
from pipeline.errors import RetryableError

AWAY = {
    "08006": "the connection broke",
    "25P03": "the transaction stood still for too long",
    "25006": "the primary is a standby now",
    "40001": "another writer was first",
    "40P01": "a deadlock",
    "53100": "the disk is full",
    "53200": "memory is full",
    "53300": "others have all connections",
    "55000": "it takes no connections for now",
    "55P03": "a lock that somebody holds",
    "57014": "the statement took too long",
    "57P01": "an operator ends the sessions",
    "57P03": "it starts up",
    "58030": "the disk fails",
    "58P01": "a file is not there",
}
"""By SQLSTATE (PostgreSQL, appendix A)."""


def told(state: str) -> Exception:
    error: Exception = asyncpg.PostgresError.new({"C": state, "M": "hunter2"})
    return error


@pytest.mark.parametrize("state", AWAY, ids=AWAY.get)
@pytest.mark.parametrize("patient", [waiting, waiting_for_keys])
def test_what_passes_is_waited_for_and_tells_no_value(
    patient: Callable[[], AbstractContextManager[None]], state: str
) -> None:
    with pytest.raises(RetryableError) as seen, patient():
        raise told(state)

    assert "hunter2" not in str(seen.value)
    assert seen.value.__cause__ is None


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route"),
        TimeoutError(),
        asyncpg.InterfaceError("the connection is closed"),
        asyncpg.InternalClientError("unknown protocol state"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_the_driver_alone_knows_of_is_waited_for_too(error: Exception) -> None:
    with pytest.raises(RetryableError), waiting():
        raise error


@pytest.mark.parametrize("state", ["22P02", "23505", "23514", "42501", "42P01"])
def test_what_comes_again_as_it_is_is_not_waited_for(state: str) -> None:
    """A value that is none, a row that is there, rights: time mends none of them."""
    with pytest.raises(asyncpg.PostgresError), waiting():
        raise told(state)


def test_a_day_that_nobody_made_yet_is_waited_for() -> None:
    with pytest.raises(RetryableError), waiting_for_keys():
        raise told("23514")
