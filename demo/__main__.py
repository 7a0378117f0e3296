"""``python -m demo tour|up|down``."""

import asyncio
import sys

from rich.console import Console

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
            case ["up"]:
                asyncio.run(up(console))
            case ["down"]:
                down(console)
            case _:
                sys.exit("expected one of: tour, up, down")
    except StackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
