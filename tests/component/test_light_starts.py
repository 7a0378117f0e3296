"""What a process imports when it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("spacy", "presidio_analyzer", "sigstore", "boto3", "moto", "testcontainers")
LOADED = f"""
import sys, consumers.app, producers.app
print([name for name in {HEAVY!r} if name in sys.modules])
import presidio_analyzer
"""


def test_what_lies_beside_us_is_not_imported_with_us() -> None:
    pytest.importorskip("presidio_analyzer")
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "[]" == done.stdout.strip()
