"""API keys: their form, their checksum, and what is kept of them.

    sluice_<live|test>_<public id, 12>_<secret, 43><checksum, 6>

Digits are 0-9A-Za-z; 43 of them are 256 bits, which is why one SHA-256 is enough to
keep. The checksum is CRC-32 of all before it: a typo costs no query.
"""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from zlib import crc32

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PUBLIC_DIGITS: Final = 12
SECRET_DIGITS: Final = 43
CHECK_DIGITS: Final = 6
_FORM: Final = re.compile(
    r"sluice_(?P<environment>live|test)_(?P<public>[0-9A-Za-z]{12})_[0-9A-Za-z]{49}"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A well-formed key; ``repr`` is silent about it.

    Attributes:
        public_id: names the key in logs and look-ups.
        digest: SHA-256 of the whole text, all that is stored.
    """

    environment: str
    public_id: str
    digest: bytes = field(repr=False)
    text: str = field(repr=False)


def parse(text: str) -> ApiKey | None:
    """The key in a text; None where form or checksum are not a key's."""
    found = _FORM.fullmatch(text)
    if found is None or text[-CHECK_DIGITS:] != checksum(text[:-CHECK_DIGITS]):
        return None
    digest = sha256(text.encode()).digest()
    return ApiKey(found["environment"], found["public"], digest, text)


def make(environment: str, random: bytes) -> ApiKey:
    """A new key from 64 random bytes or more.

    Raises:
        ValueError: too few random bytes.
    """
    digits = base62(int.from_bytes(random), PUBLIC_DIGITS + SECRET_DIGITS)
    if len(random) < 64:  # noqa: PLR2004 - 55 digits of 62 are 328 bits; no visible bias
        raise ValueError("expected 64 random bytes")
    public, secret = digits[:PUBLIC_DIGITS], digits[PUBLIC_DIGITS:]
    body = f"sluice_{environment}_{public}_{secret}"
    text = body + checksum(body)
    return ApiKey(environment, public, sha256(text.encode()).digest(), text)


def checksum(body: str) -> str:
    """CRC-32 of ``body`` in base 62, most significant digit first, padded with 0."""
    return base62(crc32(body.encode()), CHECK_DIGITS)


def base62(number: int, width: int) -> str:
    """The last ``width`` digits of ``number`` in base 62."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
