"""Keys to which bodies for the inbox are sealed: one a period, each with an end.

A key is published while its period lasts, and taken for one period more, because a
producer may keep what it fetched for as long as the answer's ``max-age`` says. After
that nothing new is sealed to it; it goes once what lies before is admitted.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from joserfc.jwk import ECKey

SEALING: Final = "ECDH-ES+A256KW"
ENCRYPTION: Final = "A256GCM"
_INFO: Final = b"sluice/inbox/1"
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (FIPS 186-5, SP 800-186 section 3.2.1.3)."""
_EXTRA_BYTES: Final = 48
_KID: Final = "inbox-"


@dataclass(frozen=True, slots=True)
class InboxKey:
    """The name of one key: when its period began, in whole seconds since 1970."""

    begun: int

    @property
    def kid(self) -> str:
        """How a letter names it."""
        return f"{_KID}{self.begun}"

    @property
    def begins(self) -> datetime:
        """Nothing that was appended before is sealed to it."""
        return datetime.fromtimestamp(self.begun, UTC)

    def last_use(self, period: timedelta) -> datetime:
        """What is appended from then on is not opened with it."""
        return self.begins + 2 * period


def key_at(moment: datetime, period: timedelta) -> InboxKey:
    """The key that is published at ``moment``; ``period`` is whole seconds."""
    length = int(period.total_seconds())
    return InboxKey(int(moment.timestamp()) // length * length)


def key_named(kid: object) -> InboxKey | None:
    """The key that a letter names; None: no name of ours."""
    if not isinstance(kid, str) or not kid.startswith(_KID):
        return None
    digits = kid.removeprefix(_KID)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:  # noqa: PLR2004 - seconds
        return None
    return InboxKey(int(digits))


def private_key(name: InboxKey, seed: bytes) -> ECKey:
    """The P-256 key of a seed of 32 bytes, by extra random bits (FIPS 186-5, A.2.1).

    Law: equal seeds, equal keys.
    """
    wide = HKDF(SHA256(), _EXTRA_BYTES, None, _INFO).derive(seed)
    scalar = int.from_bytes(wide, "big") % (_ORDER - 1) + 1
    made = derive_private_key(scalar, SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    found: dict[str, Any] = ECKey.import_key(made).as_dict(private=True)
    return ECKey.import_key({**found, "use": "enc", "alg": SEALING, "kid": name.kid})
