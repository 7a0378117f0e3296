"""One Kafka node, broker and controller in one: Apache Kafka's jars in a JVM."""

import secrets
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

from typing_extensions import override

from demo.stack.classes import classes
from demo.stack.daemon import until
from demo.stack.errors import StackError
from demo.stack.jars import jars
from demo.stack.java import java
from demo.stack.part import LocalPart
from demo.stack.ports import HOST, free_port

READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 20.0
ENDS_AFTER_S = 240
READY = b"Kafka Server started"
"""The port opens before the node can answer; this line comes after."""

# The second compiler pays after minutes, and until then competes for two cores: 5 of
# 24 ms of CPU a request at 20 requests a second.
SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
JVM = (
    *SHORT_LIVED,
    "-Xms96m",
    "-Xmx320m",
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
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.segment.bytes": "16777216",
    "log.cleaner.dedupe.buffer.size": "16777216",
    # Tests kill members of groups; the default refuses less than six seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Tests kill the broker; it comes back only after its last session has ended, which
    # takes nine seconds by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Above the largest record of schemas/topics.py and its dead letter.
    "message.max.bytes": "8388608",
    "replica.fetch.max.bytes": "8388608",
}


def settings(data: str, *, listen: str, broker: int, controller: int) -> dict[str, str]:
    """All settings of a node that listens on ``listen`` and is reached on loopback."""
    own = {
        "log.dirs": data,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{listen}:{broker},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{broker}",
    }
    return {**SETTINGS, **own}


def properties(chosen: Mapping[str, str]) -> str:
    """The text of ``server.properties``."""
    return "".join(f"{name}={value}\n" for name, value in chosen.items())


@dataclass(frozen=True, slots=True)
class Kafka(LocalPart):
    """The node whose configuration, data and log lie in ``folder``.

    Attributes:
        archive: where it leaves its classes when it stops; None: it starts with those
            of an earlier start.
        more: settings that differ from :data:`SETTINGS`.
    """

    archive: Path | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    @override
    def address(self) -> str:
        return f"{HOST}:{self.daemon.port('broker')}"

    @override
    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        ports = {
            name: free_port(self.daemon.port(name)) for name in ("broker", "controller")
        }
        # Relative: a path may hold what a properties file cannot.
        chosen = {**settings(self.data.name, listen=HOST, **ports), **self.more}
        self._config.write_text(properties(chosen))
        if not (self.data / "meta.properties").exists():
            self._format()
        # An old line must not look like a new start.
        if self.log.exists():
            self.log.replace(self.folder / "log.last")
        self.daemon.spawn(self._command, log=self.log, cwd=self.folder, ports=ports)

    @override
    def wait(self) -> None:
        if not until(lambda: self._ready() or not self.running, READY_WITHIN_S):
            raise self.failed("Kafka is not ready in time")
        if not self.running:
            raise self.failed("Kafka ended at its start")

    @override
    def stop(self) -> None:
        self.daemon.end(SIGTERM, STOPPED_WITHIN_S)

    def _ready(self) -> bool:
        return READY in self.log.read_bytes()

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        """Give the data folder its cluster's id; ``meta.properties`` comes last."""
        # 22 characters of base64url; a leading "-" would be read as an option.
        cluster = "S" + secrets.token_urlsafe(16)[1:]
        words = ("format", "--ignore-formatted", "-t", cluster, "-c", self._config)
        tool = ("kafka.tools.StorageTool", *words)
        done = subprocess.run(
            [*_jvm(), *self._known, *SHORT_LIVED, *tool],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"Kafka's folder cannot be made:\n{done.stderr[-2000:]}")

    @property
    def _command(self) -> Sequence[str]:
        command = (*_jvm(), *self._known, *JVM)
        if self.archive is not None:
            # Whoever starts it may be killed: then nobody else would end it.
            leaves = f"-XX:ArchiveClassesAtExit={self.archive}"
            command = ("timeout", str(ENDS_AFTER_S), *command, leaves)
        return (*command, "kafka.Kafka", str(self._config))

    @property
    def _known(self) -> Sequence[str]:
        return () if self.archive else classes(java(), jars(), _archived)


def _jvm() -> tuple[str, ...]:
    return str(java()), "-cp", f"{jars()}/*"


def _archived(archive: Path) -> None:
    """Start a node that leaves its classes behind when it stops."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="starting-") as folder:
        node = Kafka(Path(folder) / "kafka", archive)
        try:
            node.start()
        finally:
            node.stop()
