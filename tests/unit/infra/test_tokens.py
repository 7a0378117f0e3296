"""The key that signs tokens: made once, kept for its owner alone."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from infra.system import SystemEntropy
from infra.tokens import Tokens
from pipeline.admission import API_AUDIENCE
from pipeline.errors import IntegrityError
from pipeline.ports.tokens import Claims
from tests.support.audit import NOON, TENANT

CLAIMS = Claims(
    tenant_id=TENANT,
    client_id="client-made-up",
    environment="live",
    audience=API_AUDIENCE,
    scope=frozenset({"api"}),
    issued_at=NOON,
    expires_at=NOON + timedelta(hours=1),
)


def tokens(folder: Path) -> Tokens:
    return Tokens.load(folder, issuer="sluice.test", entropy=SystemEntropy())


def test_a_token_outlives_the_process_that_issued_it(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    before = tokens(folder)
    after, other = tokens(folder), tokens(tmp_path / "other")

    assert CLAIMS == after.verify(before.issue(CLAIMS))
    assert before.published() == after.published()
    assert other.published() != after.published()


def test_its_folder_and_its_file_are_its_owners(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    tokens(folder)
    file = folder / "tokens.jwk"
    modes = [each.stat().st_mode & 0o777 for each in (folder, file)]
    file.chmod(0o640)

    assert [0o700, 0o600] == modes
    with pytest.raises(IntegrityError):
        tokens(folder)


NO_KEYS = (
    b"",
    b"\xff",
    b'{"kty": "EC", "d": "hunter2',
    b'"hunter2"',
    b"[]",
    b'{"kty": "EC", "crv": "hunter2", "x": "eA", "y": "eA", "d": "eA"}',
    json.dumps(ECKey.generate_key("P-384").as_dict(private=True)).encode(),
    json.dumps(ECKey.generate_key("P-256").as_dict(private=False)).encode(),
)


@pytest.mark.parametrize("kept", NO_KEYS)
def test_a_file_that_is_no_key_is_told_without_what_is_in_it(
    tmp_path: Path, kept: bytes
) -> None:
    path = tmp_path / "tokens.jwk"
    path.write_bytes(kept)
    path.chmod(0o600)

    with pytest.raises(IntegrityError) as refused:
        tokens(tmp_path)
    assert "expected a private JWK of P-256, tokens.jwk" == str(refused.value)
