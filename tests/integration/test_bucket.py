"""Copies under Object Lock, on moto: what is asked for, and what is checked.

moto keeps the rules of Object Lock in a dictionary of this process. It shows that we
ask for compliance mode, read back what was promised, and go by version ids; that a
cloud keeps its promise against its own customer, it cannot show.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto import mock_aws

from infra.anchors.bucket import MODE, Bucket
from infra.signer.ed25519 import PublicKeys
from infra.system import SystemClock
from pipeline.audit import ROOT
from pipeline.checkpoint import parse_note
from pipeline.errors import IntegrityError, RetryableError
from pipeline.passes import full_pass
from producers.cli.audit import audit
from producers.copying import copied
from tests.support.exports import signed

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
NAME = "evidence"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def bucket(client: Any) -> Bucket:
    client.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    return Bucket(client=client, name=NAME, clock=CLOCK, held_for=timedelta(days=30))


async def test_a_copy_is_held_in_compliance_mode(bucket: Bucket, client: Any) -> None:
    version = await bucket.put("log/checkpoints/5", b"note")

    head = client.head_object(Bucket=NAME, Key="log/checkpoints/5", VersionId=version)
    left = head["ObjectLockRetainUntilDate"] - CLOCK.now()
    assert MODE == head["ObjectLockMode"]
    assert timedelta(days=29) < left < timedelta(days=31)


async def test_a_version_is_held_or_not_there(bucket: Bucket, client: Any) -> None:
    version = await bucket.put("log/checkpoints/5", b"note")
    free = client.put_object(Bucket=NAME, Key="log/checkpoints/6", Body=b"note")

    assert await bucket.holds("log/checkpoints/5", version)
    assert not await bucket.holds("log/checkpoints/5", "another")
    assert not await bucket.holds("log/checkpoints/7", version)
    assert not await bucket.holds("log/checkpoints/6", free["VersionId"])


async def test_what_is_held_is_not_deleted(bucket: Bucket, client: Any) -> None:
    version = await bucket.put("a", b"note")

    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=NAME, Key="a", VersionId=version)


async def test_a_later_put_hides_but_does_not_replace(
    bucket: Bucket, client: Any
) -> None:
    """So a copy is read by its version id."""
    version = await bucket.put("a", b"first")
    client.put_object(Bucket=NAME, Key="a", Body=b"forged")
    client.delete_object(Bucket=NAME, Key="a")

    held = client.get_object(Bucket=NAME, Key="a", VersionId=version)
    assert b"first" == held["Body"].read()


async def test_a_bucket_without_object_lock_is_refused(client: Any) -> None:
    client.create_bucket(Bucket="plain")
    plain = Bucket(
        client=client, name="plain", clock=CLOCK, held_for=timedelta(days=30)
    )

    with pytest.raises((IntegrityError, RetryableError)):
        await plain.put("a", b"note")


async def test_a_bucket_that_is_away_is_tried_again(client: Any) -> None:
    nowhere = Bucket(
        client=client, name="nowhere", clock=CLOCK, held_for=timedelta(days=30)
    )

    with pytest.raises(RetryableError, match="away"):
        await nowhere.put("a", b"note")


async def test_the_anchor_names_the_version_that_finds_a_rewritten_log(
    bucket: Bucket, client: Any, tmp_path: Path
) -> None:
    """Whoever rewrites the log, signs it and puts it over the copies as well."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "forged").mkdir()
    mine, keys = await signed(tmp_path / "mine")
    note = await mine.latest(ROOT)
    assert note is not None
    anchor = json.loads(await copied(mine, bucket, 0, note))
    forged, _ = await signed(tmp_path / "forged")  # with the same key
    await copied(forged, bucket, 0, await forged.latest(ROOT) or "")
    client.put_object(Bucket=NAME, Key=anchor["name"], Body=b"forged")
    client.delete_object(Bucket=NAME, Key=anchor["name"])

    held = client.get_object(
        Bucket=NAME, Key=anchor["name"], VersionId=anchor["version"]
    )
    kept = held["Body"].read().decode()

    assert note == kept
    own = keys.named(parse_note(note).origin)
    told = [await full_pass(each, ROOT, own, [kept]) for each in (mine, forged)]
    assert [False, True] == [bool(each and each.broken) for each in told]


async def test_copies_are_fetched_as_they_were_put_first(
    bucket: Bucket, client: Any, tmp_path: Path
) -> None:
    """And tell of a rewritten log, although they were put over."""
    mine, keys, note = await copied_once(bucket, tmp_path / "mine")
    forged, _ = await signed(tmp_path / "forged")
    await copied(forged, bucket, 0, await forged.latest(ROOT) or "")

    (held,) = (await bucket.checkpoints()).values()

    assert note.encode() == held
    own = keys.named(parse_note(note).origin)
    told = [await full_pass(each, ROOT, own, [note]) for each in (mine, forged)]
    assert [False, True] == [bool(each and each.broken) for each in told]


async def copied_once(bucket: Bucket, folder: Path) -> tuple[Any, PublicKeys, str]:
    ledger, keys = await signed(folder)
    note = await ledger.latest(ROOT)
    assert note is not None
    await copied(ledger, bucket, 0, note)
    return ledger, keys, note


async def test_a_copy_that_nobody_holds_is_not_believed(
    bucket: Bucket, client: Any
) -> None:
    """Though the same name was put again, and is held."""
    client.put_object(Bucket=NAME, Key="log/checkpoints/5", Body=b"note")
    await bucket.put("log/checkpoints/5", b"note")
    await bucket.put("log/checkpoints/6", b"note")

    found = await bucket.checkpoints()

    assert {"log/checkpoints/5": None, "log/checkpoints/6": b"note"} == found


def test_the_command_goes_on_behind_a_copy_that_is_not_held_any_more(
    client: Any, tmp_path: Path
) -> None:
    client.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    held = Bucket(client=client, name=NAME, clock=CLOCK, held_for=timedelta(days=30))
    command = ["copies", str(tmp_path / "out"), "--bucket", NAME]
    client.put_object(Bucket=NAME, Key="log/checkpoints/1\u202e", Body=b"note")
    none = CliRunner().invoke(audit, command)
    asyncio.run(copied_once(held, tmp_path / "mine"))

    result = CliRunner().invoke(audit, command)

    assert (3, 0) == (none.exit_code, result.exit_code), result.output
    assert "log/checkpoints/1?: not held any more: left out" in result.output
    assert 1 == len([*(tmp_path / "out").iterdir()])


def test_the_command_leaves_files_for_verify(client: Any, tmp_path: Path) -> None:
    client.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    held = Bucket(client=client, name=NAME, clock=CLOCK, held_for=timedelta(days=30))
    _, _, note = asyncio.run(copied_once(held, tmp_path / "mine"))
    command = ["copies", str(tmp_path / "out"), "--bucket", NAME]

    result = CliRunner().invoke(audit, command)

    assert 0 == result.exit_code, result.output
    (path,) = (tmp_path / "out").iterdir()
    assert note == path.read_text()
    assert parse_note(note).origin in result.output


@pytest.mark.parametrize(
    "name",
    [
        "./checkpoints//../x",
        "../checkpoints/8",
        "zzz/checkpoints/8",
        "root/checkpoints/9",
    ],
)
def test_a_name_leads_to_no_other_file(client: Any, tmp_path: Path, name: str) -> None:
    """Whoever may put into the bucket names what is put, and holds it."""
    client.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    held = Bucket(client=client, name=NAME, clock=CLOCK, held_for=timedelta(days=30))
    _, _, note = asyncio.run(copied_once(held, tmp_path / "mine"))
    forged = note + note.splitlines(keepends=True)[-1]
    asyncio.run(held.put(name, forged.encode()))
    out = tmp_path / "a" / "b"

    result = CliRunner().invoke(audit, ["copies", str(out), "--bucket", NAME])

    assert 1 == result.exit_code, result.output
    assert f"{name}: DOES NOT HOLD" in result.output
    (path,) = [each for each in (tmp_path / "a").rglob("*") if each.is_file()]
    assert (out / "root.8", note) == (path, path.read_text())


def test_the_command_tells_of_what_is_no_checkpoint(
    client: Any, tmp_path: Path
) -> None:
    client.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    held = Bucket(client=client, name=NAME, clock=CLOCK, held_for=timedelta(days=30))
    command = ["copies", str(tmp_path / "out"), "--bucket", NAME]

    none = CliRunner().invoke(audit, command)
    asyncio.run(held.put("log/checkpoints/5", b"no note"))
    bent = CliRunner().invoke(audit, command)

    assert (3, 1) == (none.exit_code, bent.exit_code)
    assert "DOES NOT HOLD" in bent.output


def test_no_object_s_name_hides_a_line(
    bucket: Bucket, client: Any, tmp_path: Path
) -> None:
    note = "l.example/log\n1\nAAAA\n\n\u2014 l.example/log AAAAAAAA\n"
    asyncio.run(bucket.put("a\u202ex/checkpoints/1", note.encode()))

    command = ["copies", str(tmp_path / "out"), "--bucket", NAME]
    result = CliRunner().invoke(audit, command)

    assert 1 == result.exit_code, result.output
    assert "a?x/checkpoints/1: DOES NOT HOLD" in result.output
