"""What the signer remembers: one file a log, changed by compare and swap."""

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from typing_extensions import override

from infra.kms.disk import locked, read, write
from pipeline.checkpoint import parse_note
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.signer import Signed, SignerState

STATE = "state"
"""The folder of the state inside the signer's own."""
LOCK = "state.lock"


@dataclass(frozen=True, slots=True)
class FileState(SignerState):
    """The note itself is the file: it holds origin, size and root, and who signed."""

    folder: Path

    @override
    async def last(self, origin: str) -> Signed | None:
        return await to_thread(self._read, self._path(origin))

    @override
    async def swap(self, before: Signed | None, after: Signed) -> bool:
        return await to_thread(self._swap, before, after)

    @override
    async def origins(self) -> Sequence[str]:
        return await to_thread(self._origins)

    def _swap(self, before: Signed | None, after: Signed) -> bool:
        path = self._path(after.checkpoint.origin)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.folder / LOCK, alone=True):
            if self._read(path) != before:
                return False
            write(path, after.note.encode())
        return True

    def _origins(self) -> Sequence[str]:
        found = (self._read(path) for path in self.folder.glob("*.note"))
        return sorted(each.checkpoint.origin for each in found if each)

    def _path(self, origin: str) -> Path:
        return self.folder / f"{sha256(origin.encode()).hexdigest()}.note"

    def _read(self, path: Path) -> Signed | None:
        raw = read(path)
        if raw is None:
            return None
        try:
            note = raw.decode()
            return Signed(parse_note(note), note)
        except (UnicodeDecodeError, InvalidMessage):
            raise IntegrityError("expected a signed note", "signer.state") from None
