"""The signer's keys and memory in files."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from infra.signer.ed25519 import (
    KEYS,
    PUBLIC,
    FileSigner,
    ensure_key,
    public_keys,
    rotate_key,
)
from infra.signer.state import FileState
from infra.system import SystemClock
from pipeline.checkpoint import Checkpoint, open_checkpoint, open_note
from pipeline.errors import IntegrityError
from pipeline.ports.signer import Signed

ORIGIN = "ledger.example.com/t_01"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = bytes(32)
SECOND = bytes([1] * 32)


class At(SystemClock):
    """A clock that stands."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    @override
    def now(self) -> datetime:
        return self.moment


def checkpoint(size: int = 1) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([size] * 32))


async def signed(folder: Path, size: int = 1, at: datetime = NOON) -> Signed:
    of = checkpoint(size)
    return Signed(of, await FileSigner(folder, At(at)).sign(of))


async def test_a_checkpoint_opens_under_the_published_key(tmp_path: Path) -> None:
    keys = ensure_key(tmp_path, FIRST, NOON)

    note = (await signed(tmp_path)).note

    assert keys == public_keys(tmp_path)
    assert checkpoint() == open_checkpoint(note, keys.named(ORIGIN))


async def test_a_key_is_made_once_and_shown_to_nobody(tmp_path: Path) -> None:
    first = ensure_key(tmp_path, FIRST, NOON)

    assert first == ensure_key(tmp_path, SECOND, NOON)
    assert 0o600 == (tmp_path / KEYS).stat().st_mode & 0o777
    assert b"seed" not in (tmp_path / "public.json").read_bytes()


async def test_both_keys_sign_while_one_is_handed_over(tmp_path: Path) -> None:
    ensure_key(tmp_path, FIRST, NOON)
    keys = rotate_key(tmp_path, SECOND, NOON + DAY, overlap=DAY).named(ORIGIN)

    times = [NOON, NOON + DAY, NOON + 3 * DAY]
    notes = [(await signed(tmp_path, at=each)).note for each in times]

    old, new = keys
    signed_by = [open_note(note, keys).signed_by for note in notes]
    assert [(old,), (old, new), (new,)] == signed_by


async def test_a_start_publishes_the_key_of_a_rotation_that_was_killed(
    tmp_path: Path,
) -> None:
    """Between its two files: the new key signs already, and no verifier knows it."""
    ensure_key(tmp_path, FIRST, NOON)
    before = (tmp_path / PUBLIC).read_bytes()
    keys = rotate_key(tmp_path, SECOND, NOON + DAY, overlap=timedelta())
    (tmp_path / PUBLIC).write_bytes(before)

    ensure_key(tmp_path, FIRST, NOON + 2 * DAY)

    note = (await signed(tmp_path, at=NOON + 2 * DAY)).note
    assert keys == public_keys(tmp_path)
    assert checkpoint() == open_checkpoint(note, public_keys(tmp_path).named(ORIGIN))


@pytest.mark.parametrize("left", [None, b""])
def test_a_start_publishes_keys_that_are_not_there_to_read(
    tmp_path: Path, left: bytes | None
) -> None:
    keys = ensure_key(tmp_path, FIRST, NOON)
    (tmp_path / PUBLIC).unlink()
    if left is not None:
        (tmp_path / PUBLIC).write_bytes(left)

    assert keys == ensure_key(tmp_path, SECOND, NOON)
    assert keys == public_keys(tmp_path)
    assert 0o644 == (tmp_path / PUBLIC).stat().st_mode & 0o777


async def test_without_a_key_nothing_is_signed(tmp_path: Path) -> None:
    ensure_key(tmp_path, FIRST, NOON)

    with pytest.raises(IntegrityError):
        await signed(tmp_path, at=NOON - DAY)


async def test_the_last_checkpoint_is_remembered(tmp_path: Path) -> None:
    ensure_key(tmp_path, FIRST, NOON)
    one, two = await signed(tmp_path, 1), await signed(tmp_path, 2)
    state = FileState(tmp_path / "state")

    swaps = [await state.swap(None, one), await state.swap(one, two)]

    assert [True, True] == swaps
    assert two == await FileState(tmp_path / "state").last(ORIGIN)
    assert [ORIGIN] == list(await state.origins())
    assert None is await state.last("another")


async def test_of_two_signers_one_loses(tmp_path: Path) -> None:
    ensure_key(tmp_path, FIRST, NOON)
    state = FileState(tmp_path / "state")
    rivals = [await signed(tmp_path, size) for size in range(1, 17)]

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda each: state._swap(None, each), rivals))

    assert 1 == sum(won)
    assert rivals[won.index(True)] == await state.last(ORIGIN)


async def test_a_file_that_is_no_note_is_not_taken_for_no_memory(
    tmp_path: Path,
) -> None:
    ensure_key(tmp_path, FIRST, NOON)
    state = FileState(tmp_path / "state")
    await state.swap(None, await signed(tmp_path))
    (path,) = (tmp_path / "state").glob("*.note")
    path.write_bytes(b"")

    with pytest.raises(IntegrityError):
        await state.last(ORIGIN)
