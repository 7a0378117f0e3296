"""Content of requests: a key for each, and what lies sealed under it."""

from dataclasses import dataclass

from pipeline.errors import InvalidMessage
from pipeline.keystore import RANDOM_BYTES, Partition, key_id
from pipeline.ports.system import Entropy
from pipeline.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    DataKey,
    Purpose,
    commit,
    open_sealed,
    seal,
)
from schemas.ids import RequestId, TenantId
from schemas.requests import SealedContent
from schemas.topics import MAX_RECORD_BYTES

COMMIT_SALT_BYTES = 32
BESIDE_BYTES = 256 * 1024
"""For terms, decisions and findings, which go along with the content."""
MAX_CARRIED_BYTES = (MAX_RECORD_BYTES - BESIDE_BYTES) // 4 * 3
"""Of content that one event carries: sealed, and in base64, it fits into a record."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Seals and opens what events carry.

    The salt of the commitment is sealed in front of the plaintext, so destroying the
    key takes it too: then nobody can check a guess against the ledger.
    """

    entropy: Entropy

    def new_key(
        self, tenant: TenantId, request: RequestId, partition: Partition
    ) -> DataKey:
        """A fresh key; nothing may be sealed under it before the keystore has it."""
        fresh = self.entropy.bytes(RANDOM_BYTES + KEY_BYTES)
        name = key_id(partition, fresh[:RANDOM_BYTES])
        return DataKey(name, tenant, request, fresh[RANDOM_BYTES:])

    def seal(self, key: DataKey, purpose: Purpose, plaintext: bytes) -> SealedContent:
        """Seal, and commit to the plaintext."""
        fresh = self.entropy.bytes(COMMIT_SALT_BYTES + SALT_BYTES + NONCE_BYTES)
        salt, fresh = fresh[:COMMIT_SALT_BYTES], fresh[COMMIT_SALT_BYTES:]
        sealed = seal(
            key,
            purpose,
            salt + plaintext,
            salt=fresh[:SALT_BYTES],
            nonce=fresh[SALT_BYTES:],
        )
        return SealedContent(sealed=sealed, commit=commit(salt, plaintext))

    def open(self, key: DataKey, purpose: Purpose, content: SealedContent) -> bytes:
        """The plaintext, if it was sealed for this use and is what was committed to.

        Law: ``open(k, p, seal(k, p, plaintext)) == plaintext``.

        Raises:
            InvalidMessage: bent, moved here from another tenant, request, purpose or
                key, or committed to as something else.
        """
        salted = open_sealed(key, purpose, content.sealed)
        salt, plaintext = salted[:COMMIT_SALT_BYTES], salted[COMMIT_SALT_BYTES:]
        if len(salt) < COMMIT_SALT_BYTES or commit(salt, plaintext) != content.commit:
            raise InvalidMessage("expected what was committed to", "commit")
        return plaintext
