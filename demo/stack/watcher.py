"""Stops a stack when the process that started it is gone, however it went.

``python -m demo.stack.watcher ROOT PID STARTED``
"""

import sys
import time
from pathlib import Path

from demo.stack import stop
from demo.stack.daemon import started

EVERY_S = 0.25


def main() -> None:
    """Wait for the end of the parent, or of this process by ``stop``."""
    root, pid, since = sys.argv[1:]
    while started(int(pid)) == since:
        time.sleep(EVERY_S)
    stop(Path(root))


if __name__ == "__main__":
    main()
