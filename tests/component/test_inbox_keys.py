"""Letters open while their key is there; it goes once admission has handled them."""

import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, JWKRegistry

from infra.inbox import FileInboxKeys
from infra.memory.inbox import MemoryInboxKeys
from infra.system import SystemEntropy
from pipeline.admission import MAX_BODY_BYTES
from pipeline.inbox import key_at
from pipeline.receipts import KAFKA_BOUND
from producers.inbox import OldInboxKeys
from tests.support.gateway import HeldClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def keys(tmp_path: Path, clock: HeldClock) -> FileInboxKeys:
    return opened(tmp_path / "here", clock)


def opened(folder: Path, clock: HeldClock) -> FileInboxKeys:
    return FileInboxKeys.at(
        folder / "own",
        folder / "root" / "root.key",
        period=HOUR,
        clock=clock,
        entropy=SystemEntropy(),
    )


def letter(published: Mapping[str, Any], body: bytes, **header: str) -> bytes:
    """As a producer seals that knows RFC 7516 and our key set."""
    key = JWKRegistry.import_key(dict(published))
    named = {"alg": published["alg"], "enc": "A256GCM", **header}
    return jwe.encrypt_compact(named, body, key).encode()


def worker(
    keys: FileInboxKeys, clock: HeldClock, upto: datetime | None = None
) -> OldInboxKeys:
    return OldInboxKeys(keys=keys, progress=MemoryInboxKeys(upto=upto), clock=clock)


async def test_a_letter_opens_for_two_periods_and_never_again(
    keys: FileInboxKeys, clock: HeldClock, tmp_path: Path
) -> None:
    published = keys.published()
    sealed = [
        letter(published, b"hello", kid=published["kid"]),
        letter(published, b"hello"),
    ]
    late = key_at(clock.now(), HOUR).last_use(HOUR) - timedelta(seconds=1)
    clock.elapsed += late - clock.now()
    await worker(keys, clock).round()
    before = [keys.open(each) for each in sealed]
    clock.elapsed += timedelta(seconds=1)

    await worker(keys, clock).round()

    other = opened(tmp_path / "here", clock)
    assert [b"hello"] * 2 == before
    assert [None] * 2 == [keys.open(each) for each in sealed]
    assert [None] * 2 == [other.open(each) for each in sealed]


def test_a_body_of_any_size_comes_in_a_letter(keys: FileInboxKeys) -> None:
    body = b"x" * MAX_BODY_BYTES

    assert body == keys.open(letter(keys.published(), body))


async def test_each_period_has_a_key_of_its_own(
    keys: FileInboxKeys, clock: HeldClock
) -> None:
    first = keys.published()
    again = keys.published()
    clock.elapsed += HOUR
    second = keys.published()

    assert first == again
    assert first["x"] != second["x"]
    assert first["kid"] != second["kid"]
    assert 2 == len(await keys.there())
    assert "d" not in first
    assert b"hello" == keys.open(letter(first, b"hello", kid=first["kid"]))


async def test_a_key_waits_for_an_admission_that_is_behind(
    keys: FileInboxKeys, clock: HeldClock
) -> None:
    sealed = keys.seal(b"hello")
    end = key_at(clock.now(), HOUR).last_use(HOUR)
    clock.elapsed += 30 * HOUR

    await worker(keys, clock, upto=end - timedelta(seconds=1)).round()
    behind = keys.open(sealed)
    await worker(keys, clock, upto=end).round()

    assert b"hello" == behind
    assert keys.open(sealed) is None


async def test_it_waits_no_longer_than_what_was_sealed_to_it_can_lie_there(
    keys: FileInboxKeys, clock: HeldClock
) -> None:
    sealed = keys.seal(b"hello")
    never = clock.now() - HOUR
    clock.elapsed += 2 * HOUR + KAFKA_BOUND

    await worker(keys, clock, upto=never).round()

    assert keys.open(sealed) is None


async def test_a_copy_of_a_key_file_opens_nothing_once_it_was_destroyed(
    keys: FileInboxKeys, clock: HeldClock, tmp_path: Path
) -> None:
    """What an unlinked file leaves on a disk is sealed by a root that is gone."""
    sealed = keys.seal(b"hello")
    copy = tmp_path / "copy"
    shutil.copytree(keys.folder.directory, copy / "own" / "inbox")
    (copy / "root").mkdir()
    shutil.copy(keys.folder.root, copy / "root" / "inbox.root")
    control = opened(copy, clock).open(sealed)
    clock.elapsed += 2 * HOUR
    keys.seal(b"of today")

    await worker(keys, clock).round()
    shutil.copy(keys.folder.root, copy / "root" / "inbox.root")

    assert b"hello" == control
    assert opened(copy, clock).open(sealed) is None


async def test_names_of_destroyed_keys_are_forgotten_in_the_end(
    keys: FileInboxKeys, clock: HeldClock
) -> None:
    keys.published()
    clock.elapsed += 2 * HOUR
    await worker(keys, clock).round()
    gone = list(keys.folder.directory.glob("*.gone"))
    keys.published()
    clock.elapsed += timedelta(days=30)
    await worker(keys, clock).round()
    left = list(keys.folder.directory.glob("*.gone"))

    assert 1 == len(gone)
    assert 1 == len(left)
    assert gone != left


@pytest.mark.parametrize(
    "bent",
    [
        b"",
        b".",
        b"....",
        b"\xff\xfe....",
        b"e30.a.b.c.d",
        b"bnVsbA.a.b.c.d",
        b"WzFd.a.b.c.d",
        b'{"kid": "inbox-0"}',
        urlsafe_b64encode(b"[" * 99_999) + b".a.b.c.d",
        urlsafe_b64encode(b'{"kid":' + b"[" * 2_000) + b".a.b.c.d",
    ],
    ids=lambda bent: bent[:24].decode("ascii", "replace"),
)
def test_what_is_no_letter_is_not_opened(keys: FileInboxKeys, bent: bytes) -> None:
    keys.published()

    assert keys.open(bent) is None


@pytest.mark.parametrize(
    "kid", ["inbox-0", "inbox-1", "inbox-../root/inbox", "tokens", "inbox-999999999999"]
)
def test_a_letter_to_a_key_that_never_was_is_not_opened(
    keys: FileInboxKeys, kid: str
) -> None:
    published = keys.published()

    assert keys.open(letter(published, b"hello", kid=kid)) is None


@pytest.mark.parametrize(
    "bent", [{"crv": "P-257"}, {"crv": 7}, {"crv": None}, {"kty": "x"}, {"x": [1]}, {}]
)
def test_a_letter_whose_own_key_is_none_is_not_opened(
    keys: FileInboxKeys, bent: Mapping[str, Any]
) -> None:
    head, *rest = letter(keys.published(), b"hello").split(b".")
    told = json.loads(urlsafe_b64decode(head + b"=="))
    told["epk"] = {**told["epk"], **bent} if bent else {}
    head = urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=")

    assert keys.open(b".".join([head, *rest])) is None


def test_no_algorithm_but_ours_is_taken(keys: FileInboxKeys) -> None:
    """The header chooses nothing: RFC 8725 section 3.1."""
    published = keys.published()
    key = ECKey.import_key({k: v for k, v in published.items() if k != "alg"})
    header = {"alg": "ECDH-ES", "enc": "A128CBC-HS256", "kid": published["kid"]}

    assert keys.open(jwe.encrypt_compact(header, b"hello", key).encode()) is None


def test_a_key_on_the_disk_is_read_by_its_owner_alone(keys: FileInboxKeys) -> None:
    keys.published()

    files = [*keys.folder.directory.glob("*.key"), keys.folder.root]
    assert 2 == len(files)
    assert {0o600} == {file.stat().st_mode & 0o777 for file in files}
