"""What a call costs, whatever the tests before it left in memory."""

import gc
from collections.abc import Callable
from time import process_time


def spent(call: Callable[[], object]) -> float:
    """CPU seconds of ``call``, its own garbage counted.

    A full collection looks at all that the process ever kept: after thousands of tests
    that is half a second, and none of it the call's.
    """
    gc.collect()
    gc.freeze()
    try:
        before = process_time()
        call()
        return process_time() - before
    finally:
        gc.unfreeze()
