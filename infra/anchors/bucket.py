"""Copies in object storage under S3 Object Lock, in compliance mode.

In that mode nobody, the account's root user included, shortens what was promised. A
later put of the same name makes a new version and leaves the held one where it is, so
a copy is always read by its version id.
"""

from asyncio import to_thread
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from pipeline.errors import IntegrityError, RetryableError
from pipeline.ports.anchors import Vault
from pipeline.ports.system import Clock

MODE = "COMPLIANCE"
_NOT_THERE = (400, 404, 405)
"""No such version; a version id that none has; a mark that the object was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket(Vault):
    """One bucket.

    Attributes:
        client: boto3's, for S3; it blocks, so it is used in threads.
        held_for: how long each version is held, from when it is put.
    """

    client: Any
    name: str
    clock: Clock
    held_for: timedelta

    @override
    async def put(self, name: str, content: bytes) -> str:
        try:
            return await to_thread(self._put, name, content)
        except (BotoCoreError, ClientError) as error:
            kind = type(error).__name__
            raise RetryableError(f"the bucket is away: {kind}") from None

    @override
    async def holds(self, name: str, version: str) -> bool:
        try:
            return await to_thread(self._held, name, version)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in _NOT_THERE:
                return False
            raise RetryableError("the bucket is away: ClientError") from None
        except BotoCoreError as error:
            kind = type(error).__name__
            raise RetryableError(f"the bucket is away: {kind}") from None

    async def checkpoints(self) -> Mapping[str, bytes | None]:
        """Every checkpoint that was put, as it was put first, by its name.

        Nothing but the bucket is asked, and what was put over a name later is not read:
        so whoever rewrote the ledger and copied it here again changes nothing. None:
        the first version that is there is not held (any more), so nothing vouches for
        it.

        Raises:
            RetryableError: the bucket is away, or may not be read.
        """
        try:
            return await to_thread(self._checkpoints)
        except (BotoCoreError, ClientError) as error:
            kind = type(error).__name__
            raise RetryableError(f"the bucket is away: {kind}") from None

    def _checkpoints(self) -> Mapping[str, bytes | None]:
        first: dict[str, str] = {}
        pages = self.client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.name):
            for each in page.get("Versions", ()):  # of a name, the newest comes first
                if "/checkpoints/" in each["Key"]:
                    first[each["Key"]] = each["VersionId"]
        return {name: self._read(name, first[name]) for name in sorted(first)}

    def _read(self, name: str, version: str) -> bytes | None:
        if not self._held(name, version):
            return None
        got = self.client.get_object(Bucket=self.name, Key=name, VersionId=version)
        content: bytes = got["Body"].read()
        return content

    def _put(self, name: str, content: bytes) -> str:
        put = self.client.put_object(
            Bucket=self.name,
            Key=name,
            Body=content,
            ChecksumAlgorithm="SHA256",
            ObjectLockMode=MODE,
            ObjectLockRetainUntilDate=self.clock.now() + self.held_for,
        )
        version: str | None = put.get("VersionId")
        # What was asked for is not what was done: the storage itself must say so.
        if version is None or not self._held(name, version):
            raise IntegrityError("expected a bucket with Object Lock", "anchors.bucket")
        return version

    def _held(self, name: str, version: str) -> bool:
        head = self.client.head_object(Bucket=self.name, Key=name, VersionId=version)
        until = head.get("ObjectLockRetainUntilDate")
        mode: str | None = head.get("ObjectLockMode")
        return mode == MODE and until is not None and until > self.clock.now()
