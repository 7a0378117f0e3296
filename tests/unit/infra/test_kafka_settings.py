"""How brokers are spoken to: what fits together, and what each client is given."""

from pathlib import Path
from ssl import CERT_REQUIRED, SSLContext, TLSVersion
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from infra.kafka.clients import KafkaClients
from infra.kafka.security import secured
from infra.settings import KafkaSettings, load_kafka

LOGIN = {"username": "u", "password": SecretStr("hunter2")}


def given(**settings: Any) -> dict[str, Any]:
    return dict(secured(KafkaSettings(**settings)))


def test_in_the_clear_there_is_nothing_to_give() -> None:
    assert {} == given()
    assert {"bootstrap_servers": "k:1"} == KafkaClients("k:1").connection


def test_tls_holds_names_and_authorities_against_the_certificate() -> None:
    found = given(tls=True)

    context = found.pop("ssl_context")
    assert isinstance(context, SSLContext)
    assert (True, CERT_REQUIRED) == (context.check_hostname, context.verify_mode)
    assert TLSVersion.TLSv1_2 == context.minimum_version
    assert {"security_protocol": "SSL"} == found


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        ({"sasl": "SCRAM-SHA-512"}, "SASL_PLAINTEXT"),
        ({"sasl": "SCRAM-SHA-256", "tls": True}, "SASL_SSL"),
        ({"sasl": "PLAIN", "tls": True}, "SASL_SSL"),
    ],
)
def test_who_we_are_is_said_by_the_mechanism(
    settings: dict[str, Any], protocol: str
) -> None:
    found = given(**settings, **LOGIN)

    found.pop("ssl_context", None)
    assert {
        "security_protocol": protocol,
        "sasl_mechanism": settings["sasl"],
        "sasl_plain_username": "u",
        "sasl_plain_password": "hunter2",
    } == found
    assert "hunter2" not in repr(KafkaClients("k:1", security=found))


@pytest.mark.parametrize(
    "settings",
    [
        {"ca": Path("x")},
        {"certificate": Path("x")},
        {"tls": True, "key": Path("x")},
        {"sasl": "PLAIN", **LOGIN},
        {"sasl": "SCRAM-SHA-256"},
        {"sasl": "SCRAM-SHA-256", "username": "u"},
        {"sasl": "SCRAM-SHA-256", "password": SecretStr("hunter2")},
        LOGIN,
        {"username": "u"},
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="expected") as refused:
        KafkaSettings(**settings)

    assert "hunter2" not in str(refused.value)


def test_a_command_reads_the_brokers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_KAFKA__TLS", "true")
    monkeypatch.setenv("SLUICE_GATEWAY__PORT", "no port")
    assert load_kafka().tls

    monkeypatch.setenv("SLUICE_KAFKA__USERNAME", "hunter2")
    with pytest.raises(
        ValueError, match=r"^SLUICE_KAFKA: .*expected a mech"
    ) as refused:
        load_kafka()
    assert "hunter2" not in str(refused.value)
