"""The key that signs deletion receipts: a file of its own, no tenant's.

Its public half lies beside it, so that who publishes it need not read the key.
"""

import json
from asyncio import to_thread
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from joserfc.jwk import ECKey

from infra.kms.disk import locked, read, write
from infra.tokens import CURVE, jwk
from pipeline.receipts import key_set, verified
from schemas.retention import Receipt

RECEIPTS: Final = "receipts.json"
"""In the folder of our own keys."""
PUBLIC: Final = ".public"


def receipt_key(path: Path) -> ECKey:
    """The P-256 key in the file, a JWK of mode 0600; made where there is none.

    Blocks on the disk.

    Raises:
        IntegrityError: others than its owner may read the file, or it is no key.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(path.name + ".lock"), alone=True):
        kept = read(path)
        if kept is None:
            made = ECKey.generate_key(CURVE)
            kept = json.dumps(made.as_dict(private=True)).encode()
            write(path, kept)
        key = jwk(kept, path)
        write(path.with_name(path.name + PUBLIC), json.dumps(key_set([key])).encode())
    return key


async def stated(path: Path, tokens: Sequence[str]) -> Sequence[Receipt | None]:
    """What each receipt says; None: the key in the file did not sign it."""

    def read_all() -> Sequence[Receipt | None]:
        keys = published(path)
        return [verified(token, keys) for token in tokens]

    return await to_thread(read_all)


def published(path: Path) -> dict[str, Any]:
    """The public half of the key in the file, as a JWK set; empty before its first use.

    Blocks on the disk.
    """
    kept = read(path.with_name(path.name + PUBLIC))
    found: dict[str, Any] = {"keys": []} if kept is None else json.loads(kept)
    return found
