"""What a root folder remembers of the stack that was started in it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stack.choice import Choice, Source
from demo.stack.daemon import replace


@dataclass(frozen=True, slots=True)
class Record:
    """How the stack of a root was started."""

    choice: Choice
    durable: bool


def write(root: Path, record: Record) -> None:
    """Remember, until ``forget``."""
    replace(_file(root), json.dumps(asdict(record)))


def read(root: Path) -> Record | None:
    """What was written and not forgotten."""
    try:
        stored = json.loads(_file(root).read_text())
    except FileNotFoundError:
        return None
    sources = {part: Source(value) for part, value in stored["choice"].items()}
    return Record(choice=Choice(**sources), durable=stored["durable"])


def forget(root: Path) -> None:
    """The stack was stopped."""
    _file(root).unlink(missing_ok=True)


def _file(root: Path) -> Path:
    return root / "stack.json"
