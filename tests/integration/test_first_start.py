"""What docs/operations.md tells an operator to do first, done as it stands there."""

import asyncio
import re
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from click.testing import CliRunner

from demo import stack as local
from demo.stack.postgres import binary
from infra.postgres.roles import LOGINS
from producers.cli import main

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
(BLOCK,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
RESTORES = PAGE.partition("\n## Backups and restores\n")[2].partition("\n## ")[0]
SHELL = re.findall(r"^    (p[gs]\w+ .*|createdb .*)$", RESTORES, re.MULTILINE)
(ROUNDS,) = re.findall(r"^    python (.*--once)$", RESTORES, re.MULTILINE)
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


def shell(line: str, superuser: str, folder: Path) -> None:
    """A line of the page, by the programs that fit the server."""
    name, *words = line.split()
    to = urlsplit(superuser)
    subprocess.run(
        [binary(name), *words],
        env={
            "PGHOST": str(to.hostname),
            "PGPORT": str(to.port),
            "PGUSER": str(to.username),
            "PGPASSWORD": str(to.password),
        },
        cwd=folder,
        capture_output=True,
        check=True,
    )


async def connects(url: str, database: str) -> bool:
    """May this login be in that database?"""
    try:
        connection = await asyncpg.connect(
            urlsplit(url)._replace(path=f"/{database}").geturl()
        )
    except asyncpg.InsufficientPrivilegeError:
        return False
    await connection.close()
    return True


def test_a_restore_into_a_new_server(tmp_path: Path) -> None:
    """Dumped, restored and provisioned again as the page says: all is as it was."""
    given = {"SIGNER": str(tmp_path), "PASSWORDS": str(tmp_path / "passwords")}
    dumps = [line for line in SHELL if line.startswith("pg_dump")]
    with (
        local.temporary(durable=False) as old,
        local.temporary(durable=False) as new,
    ):
        topics = TOPICS.replace("HOST:PORT", new.kafka_bootstrap)
        ran(*topics.replace("--replication 3", "--replication 1").split())
        ran("-c", BLOCK, SUPERUSER_URL=old.postgres_url, **given)
        for line in dumps:
            shell(line, old.postgres_url, tmp_path)
        password = str(urlsplit(old.postgres_url).password)
        superuser = new.postgres_url
        for line in SHELL[len(dumps) :]:
            shell(line, superuser, tmp_path)
            # What the globals hold is the old server's superuser too.
            was = str(urlsplit(new.postgres_url).password)
            superuser = new.postgres_url.replace(was, password)
        printed = ran("-c", BLOCK, SUPERUSER_URL=superuser, **given).splitlines()
        urls = dict(zip((n for e in LOGINS.values() for n in e), printed, strict=True))
        rounds = ran(
            *ROUNDS.split(),
            SLUICE_DATABASE__URL=urls["sluice_worker"],
            SLUICE_DATABASE__KEYSTORE_URL=urls["sluice_keystore_app"],
            SLUICE_DATABASE__KEYSTORE_ADMIN_URL=urls["sluice_keystore_keeper"],
            SLUICE_KAFKA__BOOTSTRAP=new.kafka_bootstrap,
            SLUICE_KAFKA__REPLICATION="1",
            **{
                f"SLUICE_KEYS__{name}": str(tmp_path / name / "key")
                for name in ("DIRECTORY", "ROOT", "OWN")
            },
        )
        gateway = urls["sluice_gateway"]

        assert 3 == len(dumps)
        assert 5 == len(SHELL) - len(dumps)
        assert "" == rounds
        assert asyncio.run(connects(gateway, "sluice"))
        assert not asyncio.run(connects(gateway, "sluice_keystore"))
