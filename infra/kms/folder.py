"""Tenants' keys in a folder: a sealed file per version, under a root kept elsewhere.

    <directory>/<tenant>.<version>.key     32 random bytes, sealed by the root
    <directory>/<tenant>.<version>.gone    it was destroyed, and how; stays for ever
    <root>                                 32 random bytes, in other storage
    <root>.next                            the next root, while keys are sealed anew

Overwriting proves nothing on flash or on a copy-on-write file system: the old blocks
may lie there for years. So a key is destroyed by unlinking it, making a new root,
sealing every other key under that, and letting the old root go: what remains of the
file is sealed by a key that nobody has. Keep the root out of the folder's backups.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.kms import disk
from pipeline.errors import IntegrityError, KeyDestroyed
from pipeline.ports.kms import DestroyEvidence, KekRef, KeyState, Reason
from pipeline.ports.system import Clock, Entropy
from pipeline.sealing import KEY_BYTES, NONCE_BYTES, framed
from pipeline.wrapping import unwrap, wrap
from schemas.ids import TenantId

_TENANT = re.compile(r"[0-9a-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFolder:
    """What lies on the disk; every method blocks on files and on the folder's lock.

    Nothing is kept in memory: a process that held on to a root could seal a key under
    it after another process had let that root go.
    """

    directory: Path
    root: Path
    entropy: Entropy
    clock: Clock

    def key(self, ref: KekRef) -> bytes:
        """The 32 bytes.

        Raises:
            KeyDestroyed: it was destroyed, or its destruction has begun.
            IntegrityError: it never was, it is lost, or no root opens it.
        """
        with self._lock(alone=False):
            self._refuse_gone(ref)
            return self._open(self._key_path(ref))

    def state(self, ref: KekRef) -> KeyState:
        """``scheduled``: a destruction began, and stopped half way."""
        with self._lock(alone=False):
            told = disk.read(self._gone_path(ref))
            if told is None:
                self._open(self._key_path(ref))
                return KeyState.ACTIVE
            return KeyState.DESTROYED if told else KeyState.SCHEDULED

    def versions(self, tenant: TenantId) -> Sequence[int]:
        """What is there, ascending; also what was destroyed but half."""
        with self._lock(alone=False):
            keys = [path.stem for path in self.directory.glob(f"{tenant}.*.key")]
            half = [
                path.stem
                for path in self.directory.glob(f"{tenant}.*.gone")
                if not disk.read(path)
            ]
        return sorted({int(stem.rpartition(".")[2]) for stem in (*keys, *half)})

    def forget(self, tenant: TenantId, below: int) -> None:
        """Forget what was destroyed below a version that is never made again."""
        with self._lock(alone=True):
            for path in self.directory.glob(f"{tenant}.*.gone"):
                if int(path.stem.rpartition(".")[2]) < below and disk.read(path):
                    disk.unlink(path)

    def make(self, ref: KekRef) -> None:
        """Make a key; nothing if it is there.

        Raises:
            KeyDestroyed: it was there, and was destroyed.
        """
        with self._lock(alone=True):
            self._refuse_gone(ref)
            if not self._key_path(ref).exists():
                root = self._root()
                self._seal(self._key_path(ref), root, self.entropy.bytes(KEY_BYTES))

    def destroy(self, ref: KekRef, reason: Reason) -> DestroyEvidence:
        """Destroy a key; the first evidence again if it was destroyed before.

        Each step can be repeated: a crash is mended by calling again.
        """
        with self._lock(alone=True):
            told = disk.read(self._gone_path(ref))
            if told:
                return _evidence(ref, told)
            if told is None:
                self._open(self._key_path(ref))
            disk.write(self._gone_path(ref), b"")
            disk.unlink(self._key_path(ref))
            self._let_the_root_go()
            told = _told(reason, self.clock.now())
            disk.write(self._gone_path(ref), told)
            return _evidence(ref, told)

    def _let_the_root_go(self) -> None:
        if disk.read(self._next) is None:
            disk.write(self._next, self.entropy.bytes(KEY_BYTES))
        self._finish_new_root()

    def _finish_new_root(self) -> None:
        """Seal every key under the next root, and make it the root."""
        fresh = disk.read(self._next)
        if fresh is None:
            return
        for path in sorted(self.directory.glob("*.key")):
            self._seal(path, fresh, self._open(path))
        disk.rename(self._next, self.root)

    def _open(self, path: Path) -> bytes:
        sealed = disk.read(path)
        if sealed is None:
            raise IntegrityError("expected a key file", "kms.file")
        for root in self._roots():
            with suppress(IntegrityError):
                return unwrap(root, sealed, _file_aad(path))
        raise IntegrityError("expected a key file that its root opens", "kms.file")

    def _seal(self, path: Path, root: bytes, key: bytes) -> None:
        nonce = self.entropy.bytes(NONCE_BYTES)
        disk.write(path, wrap(root, key, nonce, _file_aad(path)))

    def _roots(self) -> Iterator[bytes]:
        """The root, and after a crash the next one: a key lies under either."""
        for path in (self.root, self._next):
            root = disk.read(path)
            if root is not None:
                yield root

    def _root(self) -> bytes:
        """The root; made where neither it nor any key is there yet."""
        root = disk.read(self.root)
        if root is None:
            if any(self.directory.glob("*.key")):
                raise IntegrityError("expected the root of the keys that are here")
            root = self.entropy.bytes(KEY_BYTES)
            disk.write(self.root, root)
        return root

    def _refuse_gone(self, ref: KekRef) -> None:
        if self._gone_path(ref).exists():
            raise KeyDestroyed("the tenant's key was destroyed")

    @contextmanager
    def _lock(self, *, alone: bool) -> Iterator[None]:
        for folder in (self.directory, self.root.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with disk.locked(self.directory / ".lock", alone=alone):
            if alone:
                self._finish_new_root()
            yield

    @property
    def _next(self) -> Path:
        return self.root.with_name(self.root.name + ".next")

    def _key_path(self, ref: KekRef) -> Path:
        return self.directory / f"{_name(ref)}.key"

    def _gone_path(self, ref: KekRef) -> Path:
        return self.directory / f"{_name(ref)}.gone"


def _name(ref: KekRef) -> str:
    if not _TENANT.fullmatch(ref.tenant_id):
        raise ValueError("expected a tenant id fit for a file name")
    return f"{ref.tenant_id}.{ref.version}"


def _file_aad(path: Path) -> bytes:
    """The name is bound: a key file that was renamed does not open."""
    return framed(b"sluice/kek-file/1", path.name.encode())


def _told(reason: Reason, at: datetime) -> bytes:
    return json.dumps({"reason": reason, "effective_at": at.isoformat()}).encode()


def _evidence(ref: KekRef, told: bytes) -> DestroyEvidence:
    found = json.loads(told)
    return DestroyEvidence(
        ref=ref,
        reason=Reason(found["reason"]),
        state=KeyState.DESTROYED,
        effective_at=datetime.fromisoformat(found["effective_at"]),
        provider="file",
        provider_ref=_name(ref),
    )
