"""``python -m demo.stack up|down|status``: the local stack, by hand."""

import argparse
import sys
from pathlib import Path

from demo.stack import ROOT, Stack, StackError, find, start, stop
from demo.stack.part import Part


def main() -> None:
    """Do what the command line says; exit 1 with a message where that fails."""
    parser = argparse.ArgumentParser(prog="python -m demo.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the data")
    asked = parser.parse_args()
    try:
        {"up": up, "down": down, "status": status}[asked.command](asked.root)
    except StackError as error:
        sys.exit(f"error: {error}")


def up(root: Path) -> None:
    """Start what does not run; it stays after this command."""
    _print(start(root, detached=True))


def down(root: Path) -> None:
    """Stop what runs; the data stays."""
    ran = find(root) is not None
    stop(root)
    print("stopped; the data stays in" if ran else "nothing runs in", root)


def status(root: Path) -> None:
    """Say what runs; exit 1 where something is missing."""
    found = find(root)
    if found is None:
        sys.exit(f"nothing runs in {root}")
    _print(found)
    if not (found.kafka.running and found.postgres.running):
        sys.exit(1)


def _print(stack: Stack) -> None:
    print(stack.chosen)
    _line("Kafka", stack.kafka)
    _line("Postgres", stack.postgres)


def _line(name: str, part: Part) -> None:
    """One line about a part; a password in its address stays out of the terminal."""
    state = f"pid {part.pid}" if part.pid else "running" if part.running else "stopped"
    log = f", log {part.log}" if part.log else ""
    print(f"  {name:9} {part.address.rpartition('@')[2]}  ({state}{log})")


if __name__ == "__main__":
    main()
