"""The key of deletion receipts, in its file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.signer.receipts import receipt_key
from pipeline.errors import IntegrityError


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "receipts" / "key.json"

    with ThreadPoolExecutor(4) as threads:
        keys = list(threads.map(receipt_key, [path] * 8))

    assert 1 == len({key.thumbprint() for key in keys})
    assert keys[0].thumbprint() == receipt_key(path).thumbprint()
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    receipt_key(path)
    path.chmod(0o644)

    with pytest.raises(IntegrityError, match="0600"):
        receipt_key(path)


def test_a_file_that_is_no_key_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"kty": "EC", "d": "hunter2')
    path.chmod(0o600)

    with pytest.raises(IntegrityError) as refused:
        receipt_key(path)
    assert "expected a private JWK of P-256, key.json" == str(refused.value)
