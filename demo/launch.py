"""All of Sluice on one machine: provisioned, started, and found again.

What an operator does by hand is done here by the same commands: databases and logins,
migrations, topics, keys, a tenant, routes, credentials, then the processes.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from demo.processes import READY_WITHIN_S, Process, ready, spawn, stop
from demo.stack import Stack
from demo.stack.ports import free_port
from infra.kafka import topics
from infra.keystore.partitions import PostgresKeyPartitions
from infra.postgres.roles import LOGINS, provision
from infra.signer.ed25519 import PUBLIC, ensure_key
from infra.system import SystemClock
from pipeline.retention import ahead

STAND_IN: Final = "stand_in"
MODELS: Final = ("echo", "failing", "hanging", "garbage", "slow-2")
CHECKPOINT_EVERY_S: Final = 5.0
REWRITE_EVERY_S: Final = 5
SESSION_TIMEOUT_S: Final = 3.0
"""One machine knows sooner than a network who is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody needs to use it; secrets are shown by nothing.

    Attributes:
        gateway: base URL.
        urls: DSNs by login.
    """

    tenant_id: str
    gateway: str
    stand_in: str
    kafka: str
    api_key: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    urls: Mapping[str, str] = field(repr=False)


class Sluice:
    """One installation below ``root``, on a stack that runs."""

    def __init__(self, root: Path, stack: Stack) -> None:
        self.root = root
        self.stack = stack
        self.ports: dict[str, int] = {}
        self.urls: Mapping[str, str] = {}
        self.processes: dict[str, Process] = {}
        self._providers: dict[str, str] = {}
        self._set: dict[str, str] = {}

    async def provide(self) -> None:
        """Databases, logins, topics, keys: once; what is there stays."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.urls = await provision(self.stack.postgres_url, self._passwords())
        await topics.create(self.stack.kafka_bootstrap, replication=1)
        now = SystemClock().now()
        ensure_key(self.root / "signer", secrets.token_bytes(32), now)
        keeper = self.urls["sluice_keystore_keeper"]
        async with asyncpg.create_pool(keeper, min_size=1, max_size=1) as pool:
            await PostgresKeyPartitions(pool).prepare(ahead(now))

    def _passwords(self) -> Mapping[str, str]:
        kept = self.root / "passwords.json"
        if not kept.exists():
            made = {
                name: secrets.token_hex(24) for each in LOGINS.values() for name in each
            }
            kept.touch(mode=0o600)
            kept.write_text(json.dumps(made))
        found: Mapping[str, str] = json.loads(kept.read_text())
        return found

    def environment(self, name: str, port: int) -> Mapping[str, str]:
        """What the process ``name`` is told."""
        login = {"gateway": "sluice_gateway", "checkpointer": "sluice_checkpointer"}
        gateway = f"http://127.0.0.1:{self.port('gateway')}"
        return {
            "SLUICE_DATABASE__URL": self.urls[login.get(name, "sluice_worker")],
            "SLUICE_DATABASE__KEYSTORE_URL": self.urls["sluice_keystore_app"],
            "SLUICE_GATEWAY__PORT": str(self.port("gateway")),
            "SLUICE_GATEWAY__ISSUER": gateway,
            "SLUICE_GATEWAY__LEAVE_S": "0",
            "SLUICE_HEALTH__PORT": str(port),
            "SLUICE_KAFKA__REPLICATION": "1",
            "SLUICE_WEBHOOKS__ALLOW_LOOPBACK": "true",
            "SLUICE_WEBHOOKS__IGNORE_PROXIES": "true",
            "SLUICE_KAFKA__SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "SLUICE_LEDGER__SIGNER_DIRECTORY": str(self.root / "signer"),
            "SLUICE_LEDGER__PUBLIC_KEYS": str(self.root / "signer" / PUBLIC),
            **self.operator(),
            **self._providers,
            **self._set,
        }

    def operator(self) -> Mapping[str, str]:
        """What the operator's commands are told."""
        keys = self.root / "keys"
        return {
            "SLUICE_DATABASE__ADMIN_URL": self.urls["sluice_operator"],
            "SLUICE_DATABASE__KEYSTORE_ADMIN_URL": self.urls["sluice_keystore_keeper"],
            "SLUICE_KEYS__DIRECTORY": str(keys / "tenants"),
            "SLUICE_KEYS__ROOT": str(keys / "root" / "root.key"),
            "SLUICE_KEYS__OWN": str(keys / "own"),
            "SLUICE_KEYS__REWRITE_EVERY_S": str(REWRITE_EVERY_S),
            "SLUICE_KAFKA__BOOTSTRAP": self.stack.kafka_bootstrap,
        }

    def port(self, name: str) -> int:
        """The loopback port of a process; kept as long as this lives."""
        return self.ports.setdefault(name, free_port())

    def set(self, name: str, value: str) -> None:
        """One setting more for the processes that start from now on."""
        self._set["SLUICE_" + name] = value

    def provider(self, name: str, base_url: str, api_key: str | None = None) -> None:
        """Configure a provider for the processes that start from now on."""
        prefix = f"SLUICE_PROVIDERS__{name.upper()}__"
        self._providers[prefix + "BASE_URL"] = base_url
        if api_key is not None:
            self._providers[prefix + "API_KEY"] = api_key

    def spawn(self, name: str, *module: str) -> Process:
        """Start one process; :meth:`ready` waits for it."""
        port = self.port(name)
        made = spawn(
            name,
            module,
            environment=self.environment(name, port),
            port=port,
            logs=self.root / "logs",
        )
        self.processes[name] = made
        return made

    def subscriber(self, port: int, secret: str, database: Path) -> Process:
        """Start ``examples/subscriber.py``."""
        module = ("uvicorn", "examples.subscriber:app", "--port", str(port))
        made = spawn(
            "subscriber",
            module,
            environment={"WEBHOOK_SECRET": secret, "WEBHOOK_DATABASE": str(database)},
            port=port,
            logs=self.root / "logs",
        )
        self.processes["subscriber"] = made
        return made

    async def start(
        self,
        workers: Mapping[str, Sequence[str]] | None = None,
        *,
        stand_in_told: Sequence[str] = (),
        within_s: float = READY_WITHIN_S,
    ) -> None:
        """Start everything: the stand-in, the gateway, the workers.

        Args:
            workers: process names and the consumer groups that each runs; by default
                one process with all.
            stand_in_told: more words for the stand-in's command.
            within_s: how long all may take to be ready.
        """
        stand_in = self.port("stand_in")
        self.provider(STAND_IN, f"http://127.0.0.1:{stand_in}/v1")
        self.spawn("stand_in", "demo.stand_in", "--port", str(stand_in), *stand_in_told)
        self.spawn("gateway", "producers", "gateway")
        for name, groups in (
            {"workers": ["all"]} if workers is None else workers
        ).items():
            self.spawn(name, "consumers", *groups)
        self.spawn("timed", "producers", "timed")
        every = f"--every-s={CHECKPOINT_EVERY_S}"
        self.spawn("checkpointer", "producers", "checkpointer", every)
        started = self.processes.values()
        await asyncio.gather(*(ready(each, within_s) for each in started))

    def stop(self) -> Mapping[str, int]:
        """Stop all processes, cleanly where they let us; exit codes by name."""
        codes = stop(list(self.processes.values()))
        self.processes.clear()
        return codes

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """An operator's command, as a process."""
        return subprocess.run(
            [sys.executable, "-m", "producers.cli", *arguments],
            env={
                **os.environ,  # noqa: TID251 - a child's own
                **self.operator(),
                **self._signer(),
            },
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[1],
        )

    def _signer(self) -> Mapping[str, str]:
        return {"SLUICE_LEDGER__SIGNER_DIRECTORY": str(self.root / "signer")}

    def ask(self, *arguments: str) -> Any:
        """An operator's command's JSON.

        Raises:
            RuntimeError: it failed; the text is what it said.
        """
        done = self.run(*arguments, "--json")
        if done.returncode:
            raise RuntimeError(f"sluice {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def onboard(self, name: str, models: Sequence[str] = MODELS) -> Access:
        """A tenant with routes to the stand-in, an API key and a Kafka client."""
        tenant = self.ask("tenant", "create", name)["tenant_id"]
        of = ("--tenant", tenant)
        acts: list[tuple[str, ...]] = [
            ("route", "set", *of, m, "--provider", STAND_IN) for m in models
        ]
        acts += [("key", "create", *of), ("client", "create", *of)]
        with ThreadPoolExecutor(2) as operators:
            *_, key, client = operators.map(lambda act: self.ask(*act), acts)
        return Access(
            tenant_id=tenant,
            api_key=key["key"],
            client_id=client["id"],
            client_secret=client["secret"],
            urls=self.urls,
            **self.addresses(),
        )

    def addresses(self) -> dict[str, str]:
        """Where the services are, by the names that :class:`Access` gives them."""
        return {
            "gateway": f"http://127.0.0.1:{self.port('gateway')}",
            "stand_in": f"http://127.0.0.1:{self.port('stand_in')}",
            "kafka": self.stack.kafka_bootstrap,
        }
