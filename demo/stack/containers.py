"""The same two in Docker, where an engine on this machine answers.

A container keeps its data and its port until it is discarded.
"""

import hashlib
import json
import secrets
import shutil
from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.errors import NotFound  # type: ignore[import-untyped]
from testcontainers.core.docker_client import DockerClient
from typing_extensions import override

from demo.stack.daemon import until
from demo.stack.errors import StackError
from demo.stack.files import replace
from demo.stack.kafka import READY, settings
from demo.stack.part import Part
from demo.stack.ports import HOST, free_port
from demo.stack.postgres import accepts, dsn, options

READY_WITHIN_S = 60.0
ANY = "0.0.0.0"  # noqa: S104 - of the container; Docker publishes it on loopback
KAFKA_DATA = "/var/lib/kafka/data"


def kafka_environment(broker: int, controller: int) -> dict[str, str]:
    """Our settings as the image ``apache/kafka`` takes them.

    Inside and outside the broker has the same port: it calls itself by the address
    that it tells its clients.
    """
    chosen = settings(KAFKA_DATA, listen=ANY, broker=broker, controller=controller)
    return {
        f"KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in chosen.items()
    }


@dataclass(frozen=True, slots=True)
class ContainerPart(Part):
    """A container of ours, found again by its name.

    Attributes:
        folder: where its port and its password lie.
    """

    folder: Path

    @abstractmethod
    def create(self, engine: DockerClient, name: str, port: int) -> None:
        """Make the container; it is not started."""

    @property
    @override
    def running(self) -> bool:
        return self.found is not None and self.found.status == "running"

    @property
    @override
    def pid(self) -> None:
        return None

    @property
    @override
    def data(self) -> None:
        return None

    @property
    @override
    def log(self) -> None:
        return None

    @property
    def name(self) -> str:
        """Its name, the same for the same folder."""
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()
        return f"sluice-{self.folder.name}-{digest[:12]}"

    @property
    def found(self) -> Any:
        """Docker's view of it now, None where it does not exist."""
        try:
            return DockerClient().client.containers.get(self.name)
        except NotFound:
            return None

    @property
    def port(self) -> int:
        """Its port on loopback."""
        return int(json.loads((self.folder / "port").read_text()))

    @override
    def launch(self) -> None:
        if self.found is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace(self.folder / "port", str(free_port()))
            self.create(DockerClient(), self.name, self.port)
        self.found.start()

    @override
    def stop(self) -> None:
        if self.found is not None:
            self.found.stop()

    @override
    def kill(self) -> None:
        if self.running:
            self.found.kill()

    @override
    def discard(self) -> None:
        if self.found is not None:
            self.found.remove(force=True, v=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class KafkaContainer(ContainerPart):
    """The image ``apache/kafka`` with the settings of the local process."""

    @property
    @override
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @override
    def create(self, engine: DockerClient, name: str, port: int) -> None:
        engine.create(
            "apache/kafka:4.3.1",
            name=name,
            environment=kafka_environment(port, port + 1),
            ports={f"{port}/tcp": (HOST, port)},
        )

    @override
    def wait(self) -> None:
        if not until(self._ready, READY_WITHIN_S):
            raise StackError(f"Kafka is not ready; see docker logs {self.name}")

    def _ready(self) -> bool:
        since = datetime.fromisoformat(self.found.attrs["State"]["StartedAt"])
        return READY in self.found.logs(since=since)


@dataclass(frozen=True, slots=True)
class PostgresContainer(ContainerPart):
    """The image ``postgres`` with the settings of the local process."""

    durable: bool

    @property
    @override
    def address(self) -> str:
        return dsn((self.folder / "password").read_text(), self.port)

    @override
    def create(self, engine: DockerClient, name: str, port: int) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        engine.create(
            "postgres:18",
            command=["postgres", *options(durable=self.durable)],
            name=name,
            environment={"POSTGRES_PASSWORD": secret.read_text()},
            ports={"5432/tcp": (HOST, port)},
        )

    @override
    def wait(self) -> None:
        if not until(lambda: accepts(self.port), READY_WITHIN_S):
            raise StackError(f"Postgres is not ready; see docker logs {self.name}")
