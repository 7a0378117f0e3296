"""What was once written to a topic is read for ever.

A sample is never changed; a field that is added brings one more.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Schema
from schemas.topics import REQUESTS_INBOX, TOPICS

FOLDER = Path(__file__).parent / "samples"
KINDS: dict[str, type[Schema]] = {
    topic.data.kind: topic.data for topic in TOPICS if topic is not REQUESTS_INBOX
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_of_a_kind_decodes(kind: str) -> None:
    samples: list[Any] = json.loads((FOLDER / f"{kind}.json").read_text())

    assert samples
    for sample in samples:
        read = KINDS[kind].model_validate_json(json.dumps(sample))
        again = KINDS[kind].model_validate_json(read.model_dump_json())

        assert read == again


def test_every_sample_is_of_a_kind_that_is_read() -> None:
    assert {*KINDS} >= {path.stem for path in FOLDER.glob("*.json")}
