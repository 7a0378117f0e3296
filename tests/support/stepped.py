"""A process of ours whose wall clock can be stepped: ``stepped.py FILE MODULE WORDS``.

The file holds the seconds by which this process's wall clock is off; it is read at
every look at the clock. Time that passes (``monotonic``) is the machine's, as it is
where somebody sets the clock of a machine. Kafka and Postgres keep theirs.
"""

import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.system import SystemClock


def main() -> None:
    """Step the clock, then be the module."""
    file, module = Path(sys.argv[1]), sys.argv[2]

    def now(_: SystemClock) -> datetime:
        off = timedelta(seconds=float(file.read_text()))
        return datetime.now(UTC) + off  # noqa: TID251 - it stands for the machine's

    SystemClock.now = now  # type: ignore[assignment,method-assign]
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
