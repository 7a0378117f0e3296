"""How a process of ours begins and ends: what stops it is told in one line.

Exit codes: 1 it is not so, 2 wrong settings, 3 not now.
"""

import resource
import sys
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

import asyncpg
import uvloop

from infra.settings import Settings, load
from pipeline.errors import Misconfigured, RetryableError, SluiceError

WRONG: Final = 1
UNSET: Final = 2
AWAY: Final = 3
REFUSED: Final = (
    "the database refuses: expected this process's login, and all migrations applied"
)


def settings() -> Settings:
    """The process's settings; where one is missing or wrong it ends, and says which."""
    try:
        return load()
    except ValueError as error:
        _end(f"settings: {error}", UNSET)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a process to its end.

    What is away or not as it must be is one line: no traceback, whose last line may
    hold a value. Any other error is ours, and keeps its traceback.

    It leaves no core dump: that would be keys and content, in the clear, on a disk.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        uvloop.run(work)
    except RetryableError as error:
        _end(f"not now: {error}", AWAY)
    except Misconfigured as error:
        _end(f"settings: {error}", UNSET)
    except SluiceError as error:
        _end(str(error), WRONG)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _end(f"{REFUSED} ({type(error).__name__})", WRONG)
    except OSError as error:
        _end(told(error), WRONG)


def told(error: OSError) -> str:
    """What went wrong with a file, and with which."""
    why = error.strerror or type(error).__name__
    return f"{error.filename}: {why}" if error.filename else why


def _end(line: str, code: int) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(code)
