"""One Kafka node: Apache Kafka's own jars in a JVM, broker and controller in one."""

import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from demo.stack.daemon import POLL_S, Daemon
from demo.stack.errors import StackError
from demo.stack.jars import jars
from demo.stack.java import java
from demo.stack.ports import HOST, free_port

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
READY = b"Kafka Server started"
"""The port opens before the node can answer; this line comes after."""

JVM = (
    "-Xms96m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:MaxMetaspaceSize=160m",
    "-XX:MaxDirectMemorySize=128m",
    "-Xss512k",
    "-Djava.net.preferIPv4Stack=true",
    "-Dlog4j2.level=INFO",
)

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic that nobody declared is an error, not a topic.
    "auto.create.topics.enable": "false",
    # One node holds the only copy.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    # A laptop has few cores and little memory.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.segment.bytes": "16777216",
    "log.cleaner.dedupe.buffer.size": "16777216",
    # Tests kill members of groups; the default does not notice for six seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Above the largest record of schemas/topics.py and its dead letter.
    "message.max.bytes": "8388608",
    "replica.fetch.max.bytes": "8388608",
}


def properties(data: Path, broker: int, controller: int) -> str:
    """The text of ``server.properties`` for a node on two loopback ports."""
    own = {
        "log.dirs": str(data),
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{broker},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{broker}",
    }
    return "".join(f"{name}={value}\n" for name, value in {**SETTINGS, **own}.items())


@dataclass(frozen=True, slots=True)
class Kafka:
    """The node whose configuration, data and log lie in ``folder``."""

    folder: Path

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon(self.folder / "running.json")

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self.daemon.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and not ended since."""
        return self.pid is not None

    @property
    def data(self) -> Path:
        """Where the segments of the topics lie."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the node says of itself."""
        return self.folder / "kafka.log"

    @property
    def address(self) -> str:
        """``host:port`` for clients; the port stays over restarts."""
        return f"{HOST}:{self.daemon.port('broker')}"

    def start(self) -> None:
        """Start on the same data, on the same ports where they are free; then wait."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ports = {
            name: free_port(self.daemon.port(name)) for name in ("broker", "controller")
        }
        config = self.folder / "server.properties"
        config.write_text(properties(self.data, **ports))
        if not (self.data / "meta.properties").exists():
            self._format(config)
        # One start, one log: an old line must not look like a new start.
        self.log.unlink(missing_ok=True)
        command = [*self._java(), *JVM, "kafka.Kafka", config]
        self.daemon.spawn(command, log=self.log, ports=ports)

    def wait(self) -> None:
        """Wait until clients can work.

        Raises:
            StackError: the node ended, or needs too long; the text names its log.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while READY not in self.log.read_bytes():
            if self.pid is None:
                raise StackError(f"Kafka ended at its start; see {self.log}")
            if time.monotonic() > deadline:
                raise StackError(f"Kafka is not ready; see {self.log}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop cleanly."""
        self.daemon.end(SIGTERM, STOPPED_WITHIN_S)

    def kill(self) -> None:
        """End it as a power cut would; ``start`` brings it back."""
        self.daemon.kill()

    def _java(self) -> list[str | Path]:
        return [java(), "-cp", f"{jars()}/*"]

    def _format(self, config: Path) -> None:
        # 22 characters of base64url; a leading "-" would be read as an option.
        cluster = "S" + secrets.token_urlsafe(16)[1:]
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        done = subprocess.run(
            [*self._java(), *tool, "-t", cluster, "-c", config],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"Kafka's folder cannot be made:\n{done.stderr[-2000:]}")
