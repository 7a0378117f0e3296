"""What every provider of tenants' keys must do; and what the one with files must."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing_extensions import override

from infra.kms import disk
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import IntegrityError, KeyDestroyed, RetryableError
from pipeline.ports.kms import KekRef, KeyState, Kms, Reason, Wrapped
from schemas.ids import TenantId

ONE = TenantId("018f3c1a-7c00-7000-8000-000000000001")
TWO = TenantId("018f3c1a-7c00-7000-8000-000000000002")
KEY = bytes(range(32))


class KmsContract:
    @pytest.fixture
    def kms(self, tmp_path: Path) -> Kms:
        raise NotImplementedError

    async def test_what_is_wrapped_unwraps(self, kms: Kms) -> None:
        ref = await kms.create(ONE)

        wrapped = await kms.wrap(ref, KEY, b"for this")

        assert KEY == await kms.unwrap(wrapped, b"for this")
        assert KEY not in wrapped.ciphertext

    async def test_wrapping_twice_gives_different_bytes(self, kms: Kms) -> None:
        ref = await kms.create(ONE)

        assert await kms.wrap(ref, KEY, b"") != await kms.wrap(ref, KEY, b"")

    async def test_creating_twice_keeps_the_first_key(self, kms: Kms) -> None:
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")

        assert wrapped.ref == await kms.create(ONE)
        assert KEY == await kms.unwrap(wrapped, b"")

    async def test_a_wrapped_key_is_bound_to_its_use(self, kms: Kms) -> None:
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"for this")

        with pytest.raises(IntegrityError):
            await kms.unwrap(wrapped, b"for that")

    async def test_a_wrapped_key_is_bound_to_its_tenant(self, kms: Kms) -> None:
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")
        other = await kms.create(TWO)

        with pytest.raises(IntegrityError):
            await kms.unwrap(Wrapped(other, wrapped.ciphertext), b"")

    async def test_a_bent_key_does_not_unwrap(self, kms: Kms) -> None:
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")
        bent = wrapped.ciphertext[:-1] + bytes([wrapped.ciphertext[-1] ^ 1])

        with pytest.raises(IntegrityError):
            await kms.unwrap(Wrapped(wrapped.ref, bent), b"")

    async def test_after_a_rotation_the_old_version_still_unwraps(
        self, kms: Kms
    ) -> None:
        first = await kms.create(ONE)
        wrapped = await kms.wrap(first, KEY, b"")

        second = await kms.rotate(first)

        assert KekRef(ONE, 2) == second
        assert KEY == await kms.unwrap(wrapped, b"")
        with pytest.raises(IntegrityError):
            await kms.unwrap(Wrapped(second, wrapped.ciphertext), b"")

    async def test_rotating_twice_gives_the_same_version(self, kms: Kms) -> None:
        first = await kms.create(ONE)

        assert await kms.rotate(first) == await kms.rotate(first)

    async def test_rewrapping_moves_a_key_to_another_version(self, kms: Kms) -> None:
        first = await kms.create(ONE)
        wrapped = await kms.wrap(first, KEY, b"use")
        second = await kms.rotate(first)

        moved = await kms.rewrap(wrapped, second, b"use")
        await kms.destroy(first, Reason.ROTATION)

        assert second == moved.ref
        assert KEY == await kms.unwrap(moved, b"use")

    async def test_a_destroyed_key_unwraps_nothing(self, kms: Kms) -> None:
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")

        await kms.destroy(wrapped.ref, Reason.TERMINATION)

        with pytest.raises(KeyDestroyed):
            await kms.unwrap(wrapped, b"")
        with pytest.raises(KeyDestroyed):
            await kms.wrap(wrapped.ref, KEY, b"")

    async def test_a_destroyed_key_is_never_made_again(self, kms: Kms) -> None:
        ref = await kms.create(ONE)
        await kms.destroy(ref, Reason.TERMINATION)

        with pytest.raises(KeyDestroyed):
            await kms.create(ONE)
        with pytest.raises(KeyDestroyed):
            await kms.rotate(ref)

    async def test_destroying_twice_gives_the_first_evidence(self, kms: Kms) -> None:
        ref = await kms.create(ONE)

        first = await kms.destroy(ref, Reason.TERMINATION)

        assert ref == first.ref
        assert Reason.TERMINATION == first.reason
        assert datetime.now(UTC) >= first.effective_at  # noqa: TID251 - real clock
        assert first == await kms.destroy(ref, Reason.COMPROMISE)

    async def test_other_keys_outlive_a_destruction(self, kms: Kms) -> None:
        first = await kms.create(ONE)
        second = await kms.wrap(await kms.rotate(first), KEY, b"")
        other = await kms.wrap(await kms.create(TWO), KEY, b"")

        await kms.destroy(first, Reason.ROTATION)

        assert KEY == await kms.unwrap(second, b"")
        assert KEY == await kms.unwrap(other, b"")

    async def test_a_key_is_active_until_it_is_destroyed(self, kms: Kms) -> None:
        ref = await kms.create(ONE)

        before = await kms.describe(ref)
        await kms.destroy(ref, Reason.TERMINATION)

        assert KeyState.ACTIVE == before
        assert KeyState.DESTROYED == await kms.describe(ref)

    async def test_a_key_that_never_was_is_no_destroyed_key(self, kms: Kms) -> None:
        await kms.create(ONE)
        never = KekRef(ONE, 7)

        for use in (kms.describe(never), kms.wrap(never, KEY, b"")):
            with pytest.raises(IntegrityError):
                await use
        with pytest.raises(IntegrityError):
            await kms.destroy(never, Reason.TERMINATION)


def file_kms(base: Path) -> FileKms:
    entropy = SystemEntropy()
    folder = KeyFolder(
        directory=base / "keys",
        root=base / "elsewhere" / "root",
        entropy=entropy,
        clock=SystemClock(),
    )
    return FileKms(folder=folder, entropy=entropy)


class TestFileKms(KmsContract):
    @pytest.fixture
    @override
    def kms(self, tmp_path: Path) -> FileKms:
        return file_kms(tmp_path)

    async def test_only_the_owner_may_read(self, kms: FileKms) -> None:
        await kms.create(ONE)
        files = [kms.folder.root, *kms.folder.directory.iterdir()]

        assert {0o600} == {path.stat().st_mode & 0o777 for path in files}
        assert 0o700 == kms.folder.directory.stat().st_mode & 0o777

    async def test_a_file_that_others_may_read_is_refused(self, kms: FileKms) -> None:
        ref = await kms.create(ONE)
        kms.folder.root.chmod(0o640)

        with pytest.raises(IntegrityError, match="0600"):
            await kms.wrap(ref, KEY, b"")

    async def test_what_remains_on_the_disk_opens_with_no_root(
        self, kms: FileKms
    ) -> None:
        """The unlinked file put back, as from a backup: of no use."""
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")
        (path,) = kms.folder.directory.glob("*.key")
        remains = path.read_bytes()
        assert KEY == await kms.unwrap(wrapped, b"")

        await kms.destroy(wrapped.ref, Reason.TERMINATION)
        path.with_suffix(".gone").unlink()
        disk.write(path, remains)

        with pytest.raises(IntegrityError):
            await kms.unwrap(wrapped, b"")

    async def test_a_key_file_under_another_name_does_not_open(
        self, kms: FileKms
    ) -> None:
        await kms.create(ONE)
        two = await kms.create(TWO)
        path = kms.folder.directory
        (path / f"{ONE}.1.key").replace(path / f"{TWO}.1.key")

        with pytest.raises(IntegrityError):
            await kms.wrap(two, KEY, b"")

    async def test_a_lost_root_is_not_replaced_while_keys_need_it(
        self, kms: FileKms
    ) -> None:
        await kms.create(ONE)
        kms.folder.root.unlink()

        with pytest.raises(IntegrityError):
            await kms.create(TWO)

    @pytest.mark.parametrize("tenant", ["", "../../etc/x", "a/b", "A", "x" * 65, "a\n"])
    async def test_a_tenant_id_is_no_path(self, kms: FileKms, tenant: str) -> None:
        with pytest.raises(ValueError, match="file name"):
            await kms.create(TenantId(tenant))

    async def test_a_folder_that_cannot_be_reached_is_waited_for(
        self, kms: FileKms
    ) -> None:
        kms.folder.directory.parent.mkdir(exist_ok=True)
        kms.folder.directory.write_text("a file stands where the folder should")

        with pytest.raises(RetryableError):
            await kms.create(ONE)

    @pytest.mark.parametrize("step", range(6))
    async def test_a_destruction_that_stopped_half_way_is_finished(
        self, kms: FileKms, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Whatever the step: the key is gone or whole, others live, again helps."""
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")
        other = await kms.wrap(await kms.create(TWO), KEY, b"")
        old_root = kms.folder.root.read_bytes()

        with monkeypatch.context() as patched:
            stopped = _stop_at(step, patched)
            with pytest.raises(RetryableError):
                await kms.destroy(wrapped.ref, Reason.TERMINATION)
        assert stopped() == step

        assert KEY == await kms.unwrap(other, b"")
        evidence = await kms.destroy(wrapped.ref, Reason.TERMINATION)
        assert KeyState.DESTROYED == evidence.state
        assert KEY == await kms.unwrap(other, b"")
        assert old_root != kms.folder.root.read_bytes()
        assert not kms.folder.root.with_name("root.next").exists()
        with pytest.raises(KeyDestroyed):
            await kms.unwrap(wrapped, b"")

    async def test_two_processes_may_act_at_once(
        self, kms: FileKms, tmp_path: Path
    ) -> None:
        """Each facade has its own locks, as two processes would."""
        other = file_kms(tmp_path)
        wrapped = await kms.wrap(await kms.create(ONE), KEY, b"")
        tenants = [TenantId(f"tenant-{number}") for number in range(8)]

        refs = await asyncio.gather(*(other.create(each) for each in tenants))
        await asyncio.gather(
            *(kms.destroy(ref, Reason.TERMINATION) for ref in refs),
            *(other.unwrap(wrapped, b"") for _ in range(8)),
        )

        assert KEY == await other.unwrap(wrapped, b"")


def _stop_at(step: int, patched: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the machine fail at the ``step``-th call that reaches the disk for good."""
    calls = 0

    def failing(path: Path) -> None:
        nonlocal calls
        if calls == step:
            raise OSError("the power is cut")
        calls += 1

    patched.setattr(disk, "sync", failing)
    return lambda: calls
