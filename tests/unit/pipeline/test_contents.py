"""Contents of events: sealed, committed to, and opened for their one use."""

from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.system import SystemEntropy
from pipeline.contents import COMMIT_SALT_BYTES, Contents
from pipeline.errors import InvalidMessage
from pipeline.keystore import Partition, class_named, partition_of
from pipeline.sealing import OVERHEAD, DataKey, Purpose, open_sealed, seal
from schemas.ids import RequestId, TenantId

CONTENTS = Contents(SystemEntropy())
TENANT = TenantId("018f3c1a-7c00-7000-8000-000000000001")
REQUEST = RequestId("018f3c1a-7c00-7000-8000-000000000002")
PARTITION = Partition(class_named("30d"), date(2026, 11, 22))
KEY = CONTENTS.new_key(TENANT, REQUEST, PARTITION)


@given(st.binary(max_size=4096), st.sampled_from(Purpose))
def test_what_is_sealed_opens_again(plaintext: bytes, purpose: Purpose) -> None:
    sealed = CONTENTS.seal(KEY, purpose, plaintext)

    assert plaintext == CONTENTS.open(KEY, purpose, sealed)
    assert OVERHEAD + COMMIT_SALT_BYTES + len(plaintext) == len(sealed.sealed)


def test_a_new_key_is_fresh_and_lies_in_its_partition() -> None:
    other = CONTENTS.new_key(TENANT, REQUEST, PARTITION)

    assert (TENANT, REQUEST) == (KEY.tenant_id, KEY.request_id)
    assert PARTITION == partition_of(KEY.key_id)
    assert KEY.dek != other.dek
    assert KEY.key_id != other.key_id


def test_sealing_again_shows_nothing_of_the_first_time() -> None:
    one, two = (CONTENTS.seal(KEY, Purpose.REQUEST, b"same") for _ in range(2))

    assert one.commit != two.commit
    assert one.sealed[21:] != two.sealed[21:]


def test_the_commitment_is_to_the_salt_and_the_plaintext_that_were_sealed() -> None:
    sealed = CONTENTS.seal(KEY, Purpose.REQUEST, b"hello")
    salted = open_sealed(KEY, Purpose.REQUEST, sealed.sealed)

    assert b"hello" == salted[32:]
    assert sha256(b"sluice/content/v1\n" + salted).hexdigest() == sealed.commit


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, tenant_id=TenantId("018f3c1a-7c00-7000-8000-000000000009")),
        replace(KEY, request_id=RequestId("018f3c1a-7c00-7000-8000-000000000009")),
        CONTENTS.new_key(TENANT, REQUEST, PARTITION),
    ],
)
def test_content_does_not_open_elsewhere(other: DataKey) -> None:
    sealed = CONTENTS.seal(KEY, Purpose.REQUEST, b"hello")

    with pytest.raises(InvalidMessage):
        CONTENTS.open(other, Purpose.REQUEST, sealed)
    with pytest.raises(InvalidMessage):
        CONTENTS.open(KEY, Purpose.COMPLETION, sealed)


def test_a_commitment_to_something_else_is_noticed() -> None:
    sealed = CONTENTS.seal(KEY, Purpose.REQUEST, b"hello")
    other = CONTENTS.seal(KEY, Purpose.REQUEST, b"hello")
    swapped = sealed.model_copy(update={"commit": other.commit})

    with pytest.raises(InvalidMessage, match="committed"):
        CONTENTS.open(KEY, Purpose.REQUEST, swapped)


def test_sealed_bytes_without_a_salt_are_no_content() -> None:
    bare = seal(KEY, Purpose.REQUEST, b"x" * 31, salt=bytes(16), nonce=bytes(12))
    content = CONTENTS.seal(KEY, Purpose.REQUEST, b"")

    with pytest.raises(InvalidMessage, match="committed"):
        CONTENTS.open(KEY, Purpose.REQUEST, content.model_copy(update={"sealed": bare}))
