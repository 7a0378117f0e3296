"""What the stack is made of: a Kafka and a Postgres, wherever each one runs."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from demo.stack.daemon import Daemon
from demo.stack.errors import StackError

LAST_WORDS = 2000
"""Characters of a log that stand in an error."""


class Part(Protocol):
    """One of the two."""

    @property
    def address(self) -> str:
        """What a client connects to; the same after ``kill`` and ``start``."""
        ...

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended since."""
        ...

    @property
    def pid(self) -> int | None:
        """The id of its process, while that is one of ours and runs."""
        ...

    @property
    def data(self) -> Path | None:
        """Where it keeps its data, if that is a folder of ours."""
        ...

    @property
    def log(self) -> Path | None:
        """Where it writes what it says of itself, if that is a file of ours."""
        ...

    def launch(self) -> None:
        """Start with the data of the last time, without waiting."""
        ...

    def wait(self) -> None:
        """Wait until clients can work.

        Raises:
            StackError: it ended at its start, or takes too long.
        """
        ...

    def start(self) -> None:
        """Launch and wait."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """Stop cleanly; nothing happens where it does not run."""
        ...

    def kill(self) -> None:
        """End it as a power cut would; ``start`` brings it back with its data.

        Raises:
            StackError: it is not ours to kill.
        """
        ...

    def discard(self) -> None:
        """End it and throw its data away."""
        ...


@dataclass(frozen=True, slots=True)
class LocalPart(Part):
    """A process of ours; all that it has lies in one folder."""

    folder: Path

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon(self.folder / "running.json")

    @property
    @override
    def running(self) -> bool:
        return self.pid is not None

    @property
    @override
    def pid(self) -> int | None:
        return self.daemon.pid

    @property
    @override
    def data(self) -> Path:
        return self.folder / "data"

    @property
    @override
    def log(self) -> Path:
        return self.folder / "log"

    def failed(self, how: str) -> StackError:
        """What went wrong, with the last that the process said."""
        last = self.log.read_text(errors="replace")[-LAST_WORDS:]
        return StackError(f"{how}; the end of {self.log}:\n{last}")

    @override
    def kill(self) -> None:
        self.daemon.kill()

    @override
    def discard(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Given(Part):
    """Somebody else's, at an address that the user gave; never started or stopped."""

    address: str
    running: bool = True
    pid: None = None
    data: None = None
    log: None = None

    @override
    def launch(self) -> None: ...

    @override
    def wait(self) -> None: ...

    @override
    def stop(self) -> None: ...

    @override
    def discard(self) -> None: ...

    @override
    def kill(self) -> None:
        raise StackError("its address was given: it is not ours to kill")
