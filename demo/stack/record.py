"""What a root folder remembers of the stack that was started in it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stack.choice import Choice, Source
from demo.stack.files import replace


@dataclass(frozen=True, slots=True)
class Record:
    """How the stack of a root was started.

    Attributes:
        durable: whether Postgres waits for the disk.
    """

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
    choice = stored["choice"]
    kafka, postgres = Source(choice["kafka"]), Source(choice["postgres"])
    return Record(Choice(kafka, postgres, choice["asked"]), stored["durable"])


def forget(root: Path) -> None:
    """Nothing was started, or it was stopped."""
    _file(root).unlink(missing_ok=True)


def _file(root: Path) -> Path:
    return root / "stack.json"
