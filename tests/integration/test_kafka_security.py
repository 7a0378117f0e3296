"""Brokers that speak TLS alone and ask who we are: each of our clients gets through."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from consumers.delivery import ordered
from demo.stack import Stack
from demo.stack.kafka import Kafka
from demo.stack.ports import HOST
from infra.kafka import topics
from infra.kafka.clients import KafkaClients
from infra.kafka.inbox import KafkaInbox
from infra.kafka.publisher import KafkaPublisher
from infra.kafka.security import secured
from infra.resources import open_resources
from infra.settings import DatabaseSettings, KafkaSettings, KeysSettings, Settings
from pipeline.errors import Misconfigured, RetryableError
from producers.cli import main
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import AUDIT_RECORDED, TOPICS, Outgoing
from tests.support.audit import recorded
from tests.support.certificates import signed
from tests.support.installation import installed
from tests.support.kafka import QUICK, delivering, until

pytestmark = pytest.mark.integration

USER, PASSWORD = "sluice", "made-up-for-this-test"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A broker without a listener in the clear."""

    bootstrap: str
    authority: Path

    def settings(self, **changed: Any) -> KafkaSettings:
        given = {
            "tls": True,
            "ca": self.authority,
            "sasl": "PLAIN",
            "username": USER,
            "password": SecretStr(PASSWORD),
        }
        return KafkaSettings(bootstrap=self.bootstrap, **{**given, **changed})

    def clients(self, **changed: Any) -> KafkaClients:
        security = secured(self.settings(**changed))
        return KafkaClients(self.bootstrap, QUICK, security)

    def sluice(self, *words: str, **changed: str) -> Result:
        env = {
            "SLUICE_KAFKA__BOOTSTRAP": self.bootstrap,
            "SLUICE_KAFKA__TLS": "true",
            "SLUICE_KAFKA__CA": str(self.authority),
            "SLUICE_KAFKA__SASL": "PLAIN",
            "SLUICE_KAFKA__USERNAME": USER,
            "SLUICE_KAFKA__PASSWORD": PASSWORD,
            **changed,
        }
        return CliRunner().invoke(main, words, env=env)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("secured")
    made = signed(HOST)
    authority = folder / "authority.pem"
    authority.write_text(made.authority)
    node = Kafka(
        folder / "kafka", more=_settings(made.authority, made.certificate + made.key)
    )
    try:
        node.start()
        found = Cluster(node.address, authority)
        security = found.clients().security
        asyncio.run(topics.create(node.address, replication=1, security=security))
        yield found
    finally:
        node.stop()


def _settings(authority: str, server: str) -> Mapping[str, str]:
    chain, key = server.split("-----BEGIN PRIVATE KEY", 1)
    login = f'username="{USER}" password="{PASSWORD}" user_{USER}="{PASSWORD}"'
    return {
        "listener.security.protocol.map": "PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.plaintext.plain.sasl.jaas.config": f"{PLAIN} required {login};",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _line(chain),
        "ssl.keystore.key": _line("-----BEGIN PRIVATE KEY" + key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": _line(authority),
    }


def _line(pem: str) -> str:
    return pem.replace("\n", "\\n")


async def test_what_is_published_is_delivered_and_committed(cluster: Cluster) -> None:
    seen = list[str]()

    async def handle(event: Event[AuditRecorded], _: Any) -> list[Outgoing[Any]]:
        seen.append(event.attributes.subject)
        return []

    clients = cluster.clients()
    async with KafkaPublisher(clients) as publisher:
        await publisher.publish([Outgoing(AUDIT_RECORDED, recorded("a"), 0)])
    subscription = ordered(AUDIT_RECORDED, handle)
    async with delivering(cluster.bootstrap, subscription, made=clients):
        await until(lambda: seen == [recorded("a").attributes.subject])
    async with delivering(cluster.bootstrap, subscription, made=clients) as again:
        await until(again.delivery.ready)

    assert 1 == len(seen)


async def test_every_other_client_gets_through(cluster: Cluster) -> None:
    clients = cluster.clients()

    assert await clients.answers()
    assert await KafkaInbox(clients).handled(recorded("a").attributes.time)


@pytest.mark.parametrize("words", [("lag",), ("dead", "list")])
def test_commands_get_through(cluster: Cluster, words: tuple[str, ...]) -> None:
    done = cluster.sluice(*words)

    assert 0 == done.exit_code, done.output


@pytest.mark.parametrize(
    "changed",
    [
        {"password": SecretStr("another")},
        {"ca": None},
        {"tls": False, "ca": None, "sasl": "SCRAM-SHA-256"},
        {"sasl": None, "username": None, "password": None},
        {"sasl": "SCRAM-SHA-512"},
    ],
    ids=["password", "authority", "no TLS", "nobody", "mechanism"],
)
async def test_whoever_is_not_known_waits(
    cluster: Cluster, changed: Mapping[str, Any]
) -> None:
    clients = cluster.clients(**changed)

    assert not await clients.answers()
    with pytest.raises(RetryableError, match="expected an answer from Kafka"):
        await topics.check(
            clients.bootstrap, replication=1, topics=TOPICS, security=clients.security
        )


def test_a_command_says_what_the_environment_has_wrong(cluster: Cluster) -> None:
    away = cluster.sluice("lag", SLUICE_KAFKA__PASSWORD="another")
    wrong = cluster.sluice("lag", SLUICE_KAFKA__SASL="SCRAM-SHA-1")
    gone = cluster.sluice("lag", SLUICE_KAFKA__CA="/nowhere")

    assert 3 == away.exit_code
    assert (2, 2) == (wrong.exit_code, gone.exit_code)
    assert "SLUICE_KAFKA__SASL" in wrong.output
    assert "SLUICE_KAFKA__CA" in gone.output
    assert "another" not in away.output


async def test_a_process_opens_what_it_needs(
    cluster: Cluster, stack: Stack, tmp_path: Path
) -> None:
    with installed(stack.postgres_url) as made:
        folders = {name: tmp_path / name for name in ("directory", "root", "own")}
        settings = Settings(
            database=DatabaseSettings(
                url=SecretStr(made.urls["sluice_worker"]),
                keystore_url=SecretStr(made.urls["sluice_keystore_app"]),
            ),
            keys=KeysSettings(**folders),
            kafka=cluster.settings(replication=1),
        )
        async with open_resources(settings, "test") as opened:
            assert await opened.clients.answers()
        wrong = settings.model_copy(
            update={"kafka": cluster.settings(replication=1, ca=tmp_path / "none")}
        )
        with pytest.raises(Misconfigured, match="SLUICE_KAFKA__CA"):
            async with open_resources(wrong, "test"):
                raise AssertionError("it opened")
