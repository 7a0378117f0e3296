"""What the stack is made of: a Kafka and a Postgres, wherever each one runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from demo.stack.errors import StackError


class Part(Protocol):
    """One of the two."""

    @property
    def address(self) -> str:
        """What a client connects to; the same after ``kill`` and ``start``."""
        ...

    @property
    def running(self) -> bool:
        """Whether it has been started and not ended since."""
        ...

    @property
    def pid(self) -> int | None:
        """The id of its process, where that is one of ours and runs."""
        ...

    @property
    def data(self) -> Path | None:
        """Where it keeps its data, where that is a folder of ours."""
        ...

    @property
    def log(self) -> Path | None:
        """Where it writes what it says of itself, where that is a file of ours."""
        ...

    def launch(self) -> None:
        """Start on the data of the last time, without waiting."""
        ...

    def wait(self) -> None:
        """Wait until clients can work.

        Raises:
            StackError: it ended at its start, or takes too long.
        """
        ...

    def stop(self) -> None:
        """Stop cleanly; nothing happens where it does not run."""
        ...

    def kill(self) -> None:
        """End it as a power cut would; ``launch`` brings it back with its data.

        Raises:
            StackError: it is not ours to kill.
        """
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Somebody else's, at an address that the user gave; never started or stopped."""

    address: str
    running: bool = True
    pid: None = None
    data: None = None
    log: None = None

    def launch(self) -> None:
        """Nothing: it is somebody else's to start."""

    def wait(self) -> None:
        """Nothing: its clients wait for it."""

    def stop(self) -> None:
        """Nothing: it is somebody else's to stop."""

    def kill(self) -> None:
        """Refuse."""
        raise StackError("the address was given; this is not ours to kill")
