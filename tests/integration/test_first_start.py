"""What docs/operations.md tells an operator to do first, done as it stands there."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from demo import stack as local
from infra.postgres.roles import LOGINS
from producers.cli import main

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
(BLOCK,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(TOPICS,) = re.findall(r"^    python (.*infra\.kafka\.topics.*)$", PAGE, re.MULTILINE)


def ran(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_the_first_start(tmp_path: Path) -> None:
    """A cluster of its own: logins belong to all of it, and get passwords."""
    with local.temporary(durable=False) as running:
        topics = TOPICS.replace("HOST:PORT", running.kafka_bootstrap)
        ran(*topics.replace("--replication 3", "--replication 1").split())
        settings = {
            "SUPERUSER_URL": running.postgres_url,
            "SIGNER": str(tmp_path),
            "PASSWORDS": str(tmp_path / "passwords"),
        }
        printed = ran("-c", BLOCK, **settings).splitlines()
        again = ran("-c", BLOCK, **settings).splitlines()  # as for new migrations
        urls = dict(zip((n for e in LOGINS.values() for n in e), printed, strict=True))
        made = CliRunner().invoke(
            main,
            ["tenant", "create", "Acme"],
            env={
                "SLUICE_DATABASE__ADMIN_URL": urls["sluice_operator"],
                "SLUICE_DATABASE__KEYSTORE_ADMIN_URL": urls["sluice_keystore_keeper"],
                "SLUICE_KEYS__DIRECTORY": str(tmp_path / "keys"),
                "SLUICE_KEYS__ROOT": str(tmp_path / "root" / "root.key"),
                "SLUICE_KAFKA__BOOTSTRAP": running.kafka_bootstrap,
            },
        )

        assert printed == again
        assert 0 == made.exit_code, made.output
        assert (tmp_path / "keys.json").exists()
        assert 0o600 == stat.S_IMODE((tmp_path / "passwords").stat().st_mode)
