"""The key that signs deletion receipts: a file of its own, no tenant's."""

import json
from pathlib import Path

from joserfc.jwk import ECKey

from infra.kms.disk import locked, read, write


def receipt_key(path: Path) -> ECKey:
    """The P-256 key in the file, a JWK of mode 0600; made where there is none.

    Blocks on the disk. Publish its public half before its first receipt.

    Raises:
        IntegrityError: others than its owner may read the file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(path.name + ".lock"), alone=True):
        kept = read(path)
        if kept is None:
            made = ECKey.generate_key("P-256")
            kept = json.dumps(made.as_dict(private=True)).encode()
            write(path, kept)
    return ECKey.import_key(json.loads(kept))
