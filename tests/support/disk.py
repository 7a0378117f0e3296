"""What somebody reads who has every file of an installation, and nothing else.

Nothing of the running system is asked: keys are looked for in the bytes of the
keystore's files, unwrapped with the key files that lie on the same disk, and tried on
every sealed record in the topics' segments, in the tables' files, in WAL and in dumps.
"""

import re
import subprocess
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.inbox import FileInboxKeys
from infra.keystore.loader import KEK_AAD
from infra.kms.folder import KeyFolder
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import IntegrityError, InvalidMessage, SluiceError
from pipeline.keystore import KeyId
from pipeline.ports.kms import KekRef
from pipeline.sealing import DataKey, Purpose, framed, key_id_of, open_sealed
from pipeline.wrapping import unwrap, unwrap_dek
from schemas.ids import RequestId, TenantId

WRAPPED_BYTES = 60
NEAR = 256
"""A row of a data key is no longer than this behind its key id."""
RAW = re.compile(rb"SLC1\x01")
TEXT = re.compile(rb"U0xDMQ[A-Za-z0-9+/_-]{100,}={0,2}")
HEX = re.compile(rb"55307844(?:[0-9a-f]{2}){110,}")
LETTER = re.compile(rb"eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){4}")
MAX_RECORD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom a data key belongs; ids are no secret."""

    tenant: TenantId
    request: RequestId
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class Disk:
    """A copy of all files, taken at one moment.

    Attributes:
        root: below it ``kafka``, the broker's log directories; ``log``, Postgres's WAL
            before a checkpoint; ``postgres``, the data directory of both databases
            after it, with the WAL that is kept; ``dumps`` of both; and ``sluice``, the
            installation's own folder, with its keys and its lines.
    """

    root: Path

    def places(self) -> Mapping[str, Path]:
        """Where content may lie."""
        return {
            "kafka": self.root / "kafka",
            "log": self.root / "log",
            "tables": self.root / "postgres",
            "dumps": self.root / "dumps",
        }

    @property
    def sluice(self) -> Path:
        """The installation's own folder."""
        return self.root / "sluice"

    def keys(
        self, owners: Iterable[Owner], wrapped_keks: Mapping[TenantId, bytes]
    ) -> Mapping[KeyId, DataKey]:
        """Every data key that can be had: from any file, with the key files here.

        Not from ``log``: WAL is kept for a time that receipts state.
        """
        keks = {
            tenant: kek
            for tenant, wrapped in wrapped_keks.items()
            if (kek := self._kek(tenant, wrapped)) is not None
        }
        files = [
            data
            for name in ("postgres", "dumps", "kafka", "sluice")
            for data in bytes_below(self.root / name)
        ]
        return {
            owner.key_id: DataKey(owner.key_id, owner.tenant, owner.request, dek)
            for owner in owners
            if owner.tenant in keks and (dek := _dek(owner, keks[owner.tenant], files))
        }

    def _kek(self, tenant: TenantId, wrapped: bytes) -> bytes | None:
        keys = self.sluice / "keys"
        folder = KeyFolder(
            directory=keys / "tenants",
            root=keys / "root" / "root.key",
            entropy=SystemEntropy(),
            clock=SystemClock(),
        )
        bound = framed(
            b"sluice/kek/1", tenant.encode(), (1).to_bytes(4, "big"), KEK_AAD
        )
        with suppress(SluiceError):
            return unwrap(folder.key(KekRef(tenant, 1)), wrapped, bound)
        return None

    def letters(self) -> FileInboxKeys:
        """What opens letters here."""
        keys = self.sluice / "keys"
        return FileInboxKeys.at(
            keys / "own",
            keys / "root" / "root.key",
            period=timedelta(hours=1),
            clock=SystemClock(),
            entropy=SystemEntropy(),
        )


def read_in(
    place: Path, keys: Mapping[KeyId, DataKey], letters: FileInboxKeys
) -> bytes:
    """All plaintext that these keys open in the files of a place, one after another."""
    opened: list[bytes] = []
    for data in bytes_below(place):
        opened += (plain for each in sealed_in(data) for plain in _opened(each, keys))
        for match in LETTER.finditer(data):
            plain = letters.open(match[0])
            opened += () if plain is None else (plain,)
    return b"\n".join(opened)


def bytes_below(folder: Path) -> Iterator[bytes]:
    """Every file that has blocks: Kafka's indexes are gigabytes of nothing."""
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_blocks:
                yield path.read_bytes()


def copied(folder: Path, to: Path) -> Path:
    """A copy of a folder in use: files come and go meanwhile; zeros take no room."""
    command = ("cp", "-a", "--sparse=always", str(folder), str(to))
    subprocess.run(command, check=False, capture_output=True)
    return to


def sealed_in(data: bytes) -> Iterator[bytes]:
    """What begins as a sealed record does: raw, in base64, in hex of base64."""
    for match in RAW.finditer(data):
        yield data[match.start() : match.start() + MAX_RECORD]
    for match in TEXT.finditer(data):
        yield _decoded(match[0])
    for match in HEX.finditer(data):
        text = TEXT.match(bytes.fromhex(match[0].decode()))
        if text:
            yield _decoded(text[0])


def _decoded(text: bytes) -> bytes:
    plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return b64decode(plain + b"=" * (-len(plain) % 4))


def _opened(sealed: bytes, keys: Mapping[KeyId, DataKey]) -> Iterator[bytes]:
    with suppress(InvalidMessage):
        key = keys.get(key_id_of(sealed))
        for purpose in Purpose if key else ():
            with suppress(InvalidMessage):
                yield open_sealed(key, purpose, sealed) if key else b""


def _dek(owner: Owner, kek: bytes, files: Iterable[bytes]) -> bytes | None:
    """Try what lies behind each mention of the key's id as its wrapped bytes."""
    for data in files:
        for window in _windows(owner.key_id, data):
            with suppress(IntegrityError):
                return unwrap_dek(window, kek, 1, owner.tenant, owner.key_id)
    return None


def _windows(key_id: KeyId, data: bytes) -> Iterator[bytes]:
    raw = bytes.fromhex(key_id)
    for match in re.finditer(re.escape(raw), data):
        behind = data[match.end() : match.end() + NEAR]
        for at in range(len(behind) - WRAPPED_BYTES + 1):
            yield behind[at : at + WRAPPED_BYTES]
    for match in re.finditer(key_id.encode(), data):
        line = data[match.end() : match.end() + 4 * NEAR].split(b"\n")[0]
        for found in re.finditer(rb"\\x([0-9a-f]{120})(?![0-9a-f])", line):
            yield bytes.fromhex(found[1].decode())
