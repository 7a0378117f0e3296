"""Structured logging whose values cannot be content.

An event's name is a ``Literal``; its values are ids, numbers and enums. A plain ``str``
does not type-check, so a prompt cannot be logged.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Literal, TypeAlias

import structlog
from typing_extensions import override

from pipeline.errors import place
from schemas.events import timestamp
from schemas.ids import EndpointId, EventId, RequestId, TenantId

EventName = Literal[
    "started",
    "stopping",
    "stopped",
    "partition_stopped",
    "dead_letter_written",
    "records_expired",
    "commit_refused",
    "unexpected_error",
    "checkpoint_signed",
    "checkpoint_refused",
    "anchor_failed",
    "log_broken",
    "timed_worker_failed",
    "rounds_ended_well",
    "ledger_incident",
]


class Word(str):
    """A word of ours: a class name, a group, a topic. Made only from constants."""

    __slots__ = ()


Value: TypeAlias = (
    int
    | float
    | bool
    | Enum
    | Word
    | RequestId
    | TenantId
    | EventId
    | EndpointId
    | None
)


class Log:
    """A logger that takes no free text."""

    def __init__(self, name: str) -> None:
        self._logger = structlog.get_logger(name)

    def info(self, event: EventName, **values: Value) -> None:
        """Something an operator may want to know."""
        self._logger.info(event, **values)

    def warning(self, event: EventName, **values: Value) -> None:
        """Something that mends itself, but says that all is not well."""
        self._logger.warning(event, **values)

    def error(self, event: EventName, **values: Value) -> None:
        """Something that somebody must look at."""
        self._logger.error(event, **values)


_CALLED_WITH: Final = re.compile(r" ?[(<](?!\)).*")
"""In a line of asyncio's: what a callback was called with, or an object."""


class _Line(logging.Formatter):
    """What a library says, in one line that reads as ours do.

    An error is its class and its place: its text, which tracebacks end with and asyncio
    repeats below its first line, may hold what was handled. So may what asyncio says
    that a callback was called with.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        return json.dumps(
            {
                "library": record.name,
                "said": _said(record).partition("\n")[0],
                **({"place": place(error)} if error else {}),
                "event": "library_spoke",
                "level": record.levelname.lower(),
                "timestamp": timestamp(datetime.fromtimestamp(record.created, UTC)),
            }
        )


def _said(record: logging.LogRecord) -> str:
    """A library's words; of an error among its values, the class alone."""
    given = record.args
    if isinstance(given, tuple):
        record.args = tuple(_named(value) for value in given)
    elif given:
        record.args = {name: _named(value) for name, value in given.items()}
    try:
        said = record.getMessage()
    except (KeyError, TypeError, ValueError):
        # Words and values do not fit: logging itself would show all of them, as text.
        said = str(record.msg)
    return _CALLED_WITH.sub("", said) if record.name == "asyncio" else said


def _named(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def configure(level: str) -> None:
    """Once, in a root: JSON lines on standard error; libraries speak from WARNING."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # At DEBUG aiokafka logs every key and value: no library gets below WARNING.
    theirs = logging.StreamHandler(sys.stderr)
    theirs.setFormatter(_Line())
    logging.basicConfig(level=logging.WARNING, handlers=[theirs])
