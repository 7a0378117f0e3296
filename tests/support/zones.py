"""Three Postgres servers of one ledger, each in a zone of its own: a, b and c."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import asyncpg

from demo.stack.postgres import Postgres, as_other_user, binary
from infra.system import SystemClock
from tests.support.ledger import Database, database

STANDBYS = ("b", "c")
QUORUM = "ANY 1 (b,c)"
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Zones:
    """The servers by name, and the ledger's database as its primary has it.

    Attributes:
        made: on ``a``, which is the primary until another is promoted.
    """

    servers: dict[str, Postgres]
    made: Database

    def at(self, name: str) -> Database:
        """The same database on another server: the logins are in its copy."""
        place = urlsplit(self.servers[name].address)
        return Database(
            admin=_moved(self.made.admin, place.netloc, keep=False),
            worker=_moved(self.made.worker, place.netloc),
            checkpointer=_moved(self.made.checkpointer, place.netloc),
            operator=_moved(self.made.operator, place.netloc),
        )

    async def wanted(self, name: str, quorum: str) -> None:
        """Whose confirmation a commit on this server waits for, from now on.

        A session that is new has what the server told the older ones before it began.
        """
        connection = await asyncpg.connect(self.at(name).admin)
        try:
            await connection.execute(
                f"alter system set synchronous_standby_names = '{quorum}'"
            )
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()
        set_to = "select current_setting('synchronous_standby_names') = $1"
        while not await self._told(name, set_to, quorum):
            await CLOCK.sleep(0.01)

    async def follow(self, *names: str) -> None:
        """Wait until these standbys receive what ``a`` writes."""
        await self._until(
            "a",
            "select count(*) = $1 from pg_stat_replication"
            " where state = 'streaming' and application_name = any ($2)",
            len(names),
            list(names),
        )

    async def caught_up(self, name: str) -> None:
        """Wait until a standby shows all that ``a`` has committed."""
        written = await self._told("a", "select pg_current_wal_lsn()::text")
        await self._until(
            name, "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written
        )

    @asynccontextmanager
    async def held_back(self, name: str) -> AsyncIterator[None]:
        """A standby that receives what ``a`` writes, and shows none of it."""
        connection = await asyncpg.connect(self.at(name).admin)
        try:
            await connection.execute("select pg_wal_replay_pause()")
            paused = "select pg_get_wal_replay_pause_state() = 'paused'"
            await self._until(name, paused)
            yield
        finally:
            await connection.execute("select pg_wal_replay_resume()")
            await connection.close()

    async def promote(self, name: str) -> None:
        """Make a standby the primary."""
        await self._told(name, "select pg_promote(true, 60)")
        await self._until(name, "select not pg_is_in_recovery()")

    async def received(self, name: str) -> int:
        """How far a standby has what its primary wrote, in bytes."""
        found = await self._told(
            name, "select (pg_last_wal_receive_lsn() - '0/0')::bigint"
        )
        assert isinstance(found, int)
        return found

    async def _told(self, name: str, query: str, *values: object) -> object:
        """What a session of its own is told."""
        connection = await asyncpg.connect(self.at(name).admin)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    async def _until(self, name: str, query: str, *values: object) -> None:
        connection = await asyncpg.connect(self.at(name).admin)
        try:
            while not await connection.fetchval(query, *values):
                await CLOCK.sleep(0.05)
        finally:
            await connection.close()


def _moved(dsn: str, netloc: str, *, keep: bool = True) -> str:
    """The DSN at another server; ``keep``: with its own login."""
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    server = netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login}@{server}" if keep else netloc).geturl()


@contextmanager
def zones() -> Iterator[Zones]:
    """A primary with two standbys, all waiting for the disk; no quorum is set yet."""
    with TemporaryDirectory(prefix="zones-") as folder:
        Path(folder).chmod(0o755)
        primary = Postgres(Path(folder) / "a", durable=True)
        servers = {"a": primary}
        try:
            primary.start()
            with database(primary.address) as made:
                for name in STANDBYS:
                    servers[name] = _standby(Path(folder) / name, primary, name)
                    servers[name].start()
                yield Zones(servers, made)
                primary.start()  # so that its database can be dropped
        finally:
            for server in servers.values():
                server.kill()


def _standby(folder: Path, primary: Postgres, name: str) -> Postgres:
    folder.mkdir()
    made = Postgres(folder, durable=True)
    place = urlsplit(primary.address)
    source = (
        f"host={place.hostname} port={place.port} user=postgres"
        f" password={place.password} application_name={name}"
    )
    copy = (binary("pg_basebackup"), "-D", str(made.data), "-R", "-X", "stream")
    subprocess.run(
        [*as_other_user(), *copy, "-c", "fast", "-d", source],
        cwd="/",
        capture_output=True,
        check=True,
    )
    # The standby's superuser is the primary's: its password is in the copy.
    (folder / "password").write_text((primary.folder / "password").read_text())
    return made
