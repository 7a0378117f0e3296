"""What tasks wait for: a hang shows the event loop alone, which says nothing."""

import asyncio
import gc
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any


def waiting() -> str:
    """Where each task of this process that is not done stands, from the outside in."""
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task)]
    return "\n".join(
        f"{task.get_name()}\n{''.join(_frames(task.get_coro()))}"
        for task in tasks
        if not task.done()
    )


def _frames(awaited: Any) -> Iterator[str]:
    while awaited is not None:
        match awaited:
            case CoroutineType():
                frame, awaited = awaited.cr_frame, awaited.cr_await
            case GeneratorType():
                frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
            case AsyncGeneratorType():
                frame, awaited = awaited.ag_frame, awaited.ag_await
            case _:  # a future, or what asks a generator and does not show it
                yield f"  {type(awaited).__name__}\n"
                frame, awaited = None, _asked(awaited)
        if frame is not None:
            code = frame.f_code
            yield f"  {code.co_filename}:{frame.f_lineno} {code.co_qualname}\n"


def _asked(asking: object) -> AsyncGeneratorType[Any, Any] | None:
    held = gc.get_referents(asking)
    return next((each for each in held if isinstance(each, AsyncGeneratorType)), None)
