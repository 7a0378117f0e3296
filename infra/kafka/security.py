"""How brokers are spoken to: TLS, and who we are."""

import ssl
from collections.abc import Mapping
from typing import Any

from infra.settings import KafkaSettings, variable
from pipeline.errors import Misconfigured


def secured(kafka: KafkaSettings) -> Mapping[str, Any]:
    """The options of aiokafka's clients; none where brokers are spoken to in the clear.

    Raises:
        Misconfigured: a file is not there, or not what it must be.
    """
    if not kafka.tls and kafka.sasl is None:
        return {}
    speaks = "SASL_" if kafka.sasl else ""
    found: dict[str, Any] = {
        "security_protocol": speaks + ("SSL" if kafka.tls else "PLAINTEXT")
    }
    if kafka.tls:
        found["ssl_context"] = _context(kafka)
    if kafka.sasl is not None and kafka.password is not None:
        found["sasl_mechanism"] = kafka.sasl
        found["sasl_plain_username"] = kafka.username
        found["sasl_plain_password"] = kafka.password.get_secret_value()
    return found


def _context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if kafka.certificate is not None:
            context.load_cert_chain(kafka.certificate, kafka.key)
    except OSError:  # an SSLError is one
        names = ", ".join(variable(("kafka", each)) for each in ("ca", "certificate"))
        raise Misconfigured(f"{names}: expected PEM files that can be read") from None
    return context
