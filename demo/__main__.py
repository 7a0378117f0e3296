"""``python -m demo tour``, and ``up`` and ``down`` with a folder for the data."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from demo.processes import NotReady
from demo.stack.errors import StackError
from demo.tour.run import tour
from demo.up import down, up


def main() -> None:
    """Do what the first argument says."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        match sys.argv[1:]:
            case ["tour"]:
                sys.exit(0 if asyncio.run(tour(console)) else 1)
            case ["up", *folder]:
                up(console, *map(Path, folder[:1]))
            case ["down", *folder]:
                down(console, *map(Path, folder[:1]))
            case _:
                sys.exit("expected one of: tour, up [FOLDER], down [FOLDER]")
    except (StackError, NotReady) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        # A tour's own are stopped by then; those of up outlive it.
        left = ": `make down` stops what runs" if sys.argv[1:2] != ["tour"] else ""
        sys.exit(f"interrupted{left}")


if __name__ == "__main__":
    main()
