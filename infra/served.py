"""Logs as a gateway serves them: an auditor's or a tenant's way to read, by HTTP.

Nothing is believed: what comes back are tiles, bundles and a checkpoint, and a pass
holds them against each other.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import aiohttp
import orjson
from typing_extensions import override

from infra.exported import entry_of
from infra.exports import NamedKeys
from pipeline.audit import Entry, Head
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.merkle import HASH_BYTES, TILE_WIDTH, tree_at
from pipeline.passes import reading
from pipeline.ports.ledger import Deleted, Logs
from pipeline.root import Rooted
from pipeline.tiles import Tile, split, unbundle
from schemas.ids import TenantId

WITHIN_S: Final = 30.0
MAX_BYTES: Final = TILE_WIDTH * (2 + 65_535)
"""A full bundle of the largest leaves that tlog-tiles has."""
KEPT: Final = 64
"""Answers in memory: a pass asks for a bundle and its tile more than once."""
OK: Final = 200
REFUSALS: Final = {
    401: "may this credential read?",
    403: "may this credential read?",
    404: "is this where it serves logs, as https://host/ledger, and of this tenant?",
}
"""What to look at, by the status."""


@asynccontextmanager
async def serving_logs(url: str, credential: str) -> AsyncIterator["ServedLogs"]:
    """The logs below ``url`` (a gateway's ``/ledger``) that a credential may read."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    headers = {"authorization": f"Bearer {credential}", "user-agent": "sluice"}
    async with aiohttp.ClientSession(
        timeout=timeout, headers=headers, trust_env=False
    ) as session:
        yield ServedLogs(session, url.rstrip("/"))


@dataclass(slots=True)
class ServedLogs(Logs):
    """A log's id stands for its tenant, whom nobody names.

    Each log is what its checkpoint says when it is first asked for: it may grow
    meanwhile. Records behind the checkpoint are not served.

    Raises, in every method:
        RetryableError: the gateway is away, or its answer is not whole.
        LookupError: the credential may not read this, or it is not there.
        InvalidMessage: an answer is not what it must be.
    """

    session: aiohttp.ClientSession
    url: str
    _notes: dict[TenantId, str] = field(default_factory=dict)
    _last: dict[str, bytes] = field(default_factory=dict)

    @override
    async def tenants(self) -> Sequence[TenantId]:
        try:
            found = orjson.loads(await self._get("/"))
            ids = sorted(TenantId(str(each["id"])) for each in found)
        except (ValueError, KeyError, TypeError):
            raise InvalidMessage("expected a list of logs", "/") from None
        if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,255}", each) for each in ids):
            raise InvalidMessage("expected the ids of logs", "/")
        return ids

    async def keys(self, tenant: TenantId) -> Sequence[VerifyKey]:
        """The keys of a log, as the gateway names them."""
        raw = await self._get(f"/{tenant}/vkeys.json")
        try:
            return NamedKeys.model_validate_json(raw).parsed()
        except ValueError:
            raise InvalidMessage("expected the keys of a log", "vkeys.json") from None

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        signed = await self._signed(tenant)
        size = signed.size
        tree = await reading(self, tenant, lambda nodes: tree_at(nodes, size))
        (last,) = await self.read(tenant, size - 1, 1)
        return Head(signed.origin, sha256(last.body).digest(), tree)

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        end = min(from_seq + limit, (await self._signed(tenant)).size)
        found = list[Entry]()
        for index in range(from_seq // TILE_WIDTH, -(-end // TILE_WIDTH)):
            found += await self._bundle(tenant, index)
        return [each for each in found if from_seq <= each.seq < end]

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        return await self._tile(tenant, Tile(level, index, width))

    @override
    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        return [await self._note(tenant)]

    @override
    async def latest(self, tenant: TenantId) -> str | None:
        return await self._note(tenant)

    @override
    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        return None

    @override
    async def deleted(self) -> Sequence[Deleted]:
        return ()

    async def _bundle(self, tenant: TenantId, index: int) -> Sequence[Entry]:
        """A bundle's entries, each with the leaf that the tile has for it."""
        size = (await self._signed(tenant)).size
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bodies = [*unbundle(await self._tile(tenant, Tile(None, index, width)))]
        leaves = split(await self._tile(tenant, Tile(0, index, width)))
        if not len(bodies) == len(leaves) == width:
            raise InvalidMessage("expected a tile as wide as it was asked for", "tile")
        first = index * TILE_WIDTH
        return [
            entry_of(first + at, body, leaf)
            for at, (body, leaf) in enumerate(zip(bodies, leaves, strict=True))
        ]

    async def _tile(self, tenant: TenantId, tile: Tile) -> bytes:
        raw = await self._get(f"/{tenant}/{tile.path}")
        if tile.level is not None and len(raw) != tile.width * HASH_BYTES:
            raise InvalidMessage("expected a tile as wide as it was asked for", "tile")
        return raw

    async def _signed(self, tenant: TenantId) -> Checkpoint:
        signed = parse_note(await self._note(tenant))
        if not signed.size:
            raise InvalidMessage("expected a checkpoint that counts records", "size")
        return signed

    async def _note(self, tenant: TenantId) -> str:
        if tenant not in self._notes:
            raw = await self._get(f"/{tenant}/checkpoint")
            try:
                self._notes[tenant] = raw.decode()
            except UnicodeDecodeError:
                raise InvalidMessage("expected a note", "checkpoint") from None
        return self._notes[tenant]

    async def _get(self, path: str) -> bytes:
        """An answer's whole body; the last few are kept, for passes ask twice."""
        if path not in self._last:
            while len(self._last) >= KEPT:
                del self._last[next(iter(self._last))]
            self._last[path] = await self._fetched(path)
        return self._last[path]

    async def _fetched(self, path: str) -> bytes:
        try:
            async with self.session.get(
                self.url + path, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_BYTES + 1)
                while len(body) <= MAX_BYTES and not answer.content.at_eof():
                    body += await answer.content.read(MAX_BYTES + 1 - len(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(
                f"the gateway is away: {type(error).__name__}"
            ) from None
        return _whole(answer.status, body)


def _whole(status: int, body: bytes) -> bytes:
    if status in REFUSALS:
        raise LookupError(f"the gateway refuses: {status}; {REFUSALS[status]}")
    if status != OK or len(body) > MAX_BYTES:
        raise RetryableError(f"the gateway gives no whole answer: {status}")
    return body
