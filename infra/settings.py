"""What an operator sets, read once by a composition root.

Environment variables begin with ``SLUICE_``; ``__`` steps into a concern, e.g.
``SLUICE_KAFKA__BOOTSTRAP``. An unknown name is refused: a typo must not be silence.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.recognisers.setup import Setup
from schemas.policies import RecogniserName

PREFIX = "SLUICE_"
ALIASES = frozenset({"SLUICE_DATABASE_URL", "SLUICE_KAFKA_BOOTSTRAP"})
"""Addresses that choose the local stack's services; they are not settings."""
PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
HIDDEN: Final = "**********"
"""What stands for a secret that is shown, as pydantic has it."""


def _masked(url: AnyHttpUrl) -> str:
    """Without what may let somebody in: a name with a password, and a query."""
    if not (url.username or url.password or url.query):
        return str(url)
    user = f"{HIDDEN}@" if url.username or url.password else ""
    port = f":{url.port}" if url.port else ""
    query = f"?{HIDDEN}" if url.query else ""
    return f"{url.scheme}://{user}{url.host}{port}{url.path or ''}{query}"


Url = Annotated[AnyHttpUrl, PlainSerializer(_masked, when_used="json")]
"""An address that is shown without the secrets in it."""
Host = Annotated[str, Field(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$")]
"""A name as it is compared: in lower case, without a dot before or behind it."""


class Concern(BaseModel):
    """One group of settings: frozen, closed, silent about refused values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KafkaSettings(Concern):
    """The brokers."""

    bootstrap: str = "127.0.0.1:9092"
    """``host:port[,host:port…]``."""
    tls: bool = False
    """Speak TLS 1.2 or later with the brokers, whose certificates must name them."""
    ca: Path | None = None
    """PEM of the authorities that sign them; without it, those of the system."""
    certificate: Path | None = None
    """PEM of the certificate that we show, with its chain."""
    key: Path | None = None
    """PEM of its private key, where that does not lie in ``certificate``."""
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """The mechanism by which we say who we are; ``PLAIN`` only inside TLS."""
    username: str | None = None
    password: SecretStr | None = None
    replication: Annotated[int, Field(ge=1, le=7)] = 3
    """Copies of each partition. Three survive one loss at ``min.insync.replicas`` 2."""
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 30
    """After so long without a heartbeat a consumer counts as dead, and its partitions
    go to others. The broker refuses less than ``group.min.session.timeout.ms``."""
    max_poll_interval_s: Annotated[float, Field(ge=4, le=3600)] = 300
    """A consumer that does not come back to its poll for so long leaves its group. A
    batch works for a quarter of it, then commits what is finished and polls again."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        files = (self.ca, self.certificate, self.key)
        if not self.tls and any(file is not None for file in files):
            raise ValueError("expected TLS beside its files")
        if self.key is not None and self.certificate is None:
            raise ValueError("expected a certificate beside its key")
        if self.sasl == "PLAIN" and not self.tls:
            raise ValueError("expected TLS: PLAIN sends the password as it is")
        names = (self.username, self.password)
        if any((each is None) is not (self.sasl is None) for each in names):
            raise ValueError("expected a mechanism, a user name and a password")
        return self


class DatabaseSettings(Concern):
    """Postgres: the main database and the keystore, one login per use.

    The keystore is a database of its own, so that a backup of the content never holds
    the keys that open it.
    """

    url: SecretStr
    """DSN of the main database with the login of this process."""
    keystore_url: SecretStr
    """DSN of the keystore with the login of this process."""
    keystore_admin_url: SecretStr | None = None
    """DSN of the keystore for whoever destroys keys: retention and the operator."""
    admin_url: SecretStr | None = None
    """DSN of the main database for the operator's commands."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 8
    """Connections a process opens to each database at most."""
    durable: bool = False
    """Production: nothing runs on a main database that may lose what it committed with
    one machine: without a synchronous standby, or with ``fsync`` or
    ``full_page_writes`` off."""
    statement_cache: bool = True
    """Off behind a transaction pooler (pgbouncer)."""


class KeysSettings(Concern):
    """The local-file KMS."""

    directory: Path
    """Where key-encryption keys lie, sealed; mode 0700."""
    root: Path
    """The root key file, kept elsewhere than ``directory``; mode 0600."""
    own: Path
    """The folder of Sluice's own keys: tokens, the inbox, receipts; mode 0700."""
    inbox_period_s: Annotated[int, Field(ge=2, le=86_400)] = 3600
    """For so long the key is published to which bodies for the inbox are sealed. It is
    destroyed after twice that, once admission has handled what was sealed to it."""
    rewrite_every_s: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    """How often partitions of the keystore are rewritten in which keys were destroyed:
    until then a deleted row's bytes stay in its file. Receipts count on a day."""


class TimestampSettings(Concern):
    """A time-stamping authority (RFC 3161)."""

    url: Url
    certificates: Path
    """PEM: its root first, then what lies between; got from it by another way."""


class WitnessSettings(Concern):
    """A witness (c2sp.org/tlog-witness)."""

    url: Url
    """Its submission prefix."""
    key: str
    """With which it cosigns: ``name+id+key``."""


class BucketSettings(Concern):
    """A bucket with S3 Object Lock; credentials are found as boto3 finds them."""

    name: str
    endpoint: Url | None = None
    """Storage that speaks S3 and is not Amazon's."""
    held_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """For how long nobody can delete a copy. What was put cannot be shortened."""


Named = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]


class LedgerSettings(Concern):
    """The audit ledger."""

    domain: str = "sluice.localhost"
    """The first part of each log's origin: ``ledger.<domain>/<log id>``."""
    public_keys: Path | None = None
    """The signer's ``public.json``, or a copy: the gateway serves it as each log's
    ``vkeys.json``. Without it nobody is told the keys over HTTP."""
    signer_directory: Path | None = None
    """The checkpointer's own key and state: other storage than the ledger's."""
    pass_url: SecretStr | None = None
    """A standby of the main database, with the checkpointer's login: the scheduled full
    pass reads there what the standby has. Without it, it reads the main database."""
    settled_s: Annotated[float, Field(ge=1)] = 900
    """Completeness counts what was accepted so long ago. Longer than any deadline: what
    has not ended by then is recorded as missing, and raises the alarm."""
    timestamps: Mapping[Named, TimestampSettings] = {}
    """By a name of yours: ``SLUICE_LEDGER__TIMESTAMPS__<NAME>__URL``."""
    witnesses: Mapping[Named, WitnessSettings] = {}
    """By a name of yours: ``SLUICE_LEDGER__WITNESSES__<NAME>__URL``."""
    buckets: Mapping[Named, BucketSettings] = {}
    """By a name of yours: ``SLUICE_LEDGER__BUCKETS__<NAME>__NAME``."""


def _sent(text: str) -> bool:
    """May it stand in a header? A line feed behind it, as files end, may not."""
    return all("!" <= each <= "~" for each in text)


class ProviderSettings(Concern):
    """One upstream."""

    base_url: Url
    """Up to and with the version segment, e.g. ``https://host/v1``."""
    api_key: SecretStr | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 64
    """Calls at once; beyond them requests wait, and then end as ``upstream_busy``."""

    @model_validator(mode="after")
    def _can_be_called(self) -> Self:
        url = self.base_url
        if url.query is not None or url.fragment is not None:
            raise ValueError("expected a base_url that a path can follow")
        if self.api_key is not None and (url.username or url.password):
            raise ValueError("expected an api_key, or a login in base_url, not both")
        if self.api_key is not None and not _sent(self.api_key.get_secret_value()):
            raise ValueError("expected an api_key of visible ASCII, no line feed")
        return self


class GatewaySettings(Concern):
    """HTTP in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    reply_partition: Annotated[int, Field(ge=0, le=7)] = 0
    """This gateway's partition of the replies; no two gateways share one."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=2 * 1024 * 1024)] = 2 * 1024 * 1024
    max_waiting: Annotated[int, Field(ge=1, le=65_536)] = 2048
    """Requests that wait for their answers at once; more are refused before they are
    accepted: each costs its connection and its body."""
    issuer: str = "http://127.0.0.1:8080"
    """``iss`` of the tokens that we issue, and where our keys are published."""
    leave_s: Annotated[float, Field(ge=0, le=300)] = 5
    """After SIGTERM it says not ready for so long and still serves, so that balancers
    send new work elsewhere before it stops listening."""


class WebhooksSettings(Concern):
    """Where webhooks may go, beside the addresses that nobody may name."""

    allow_loopback: bool = False
    """Development only: ``http`` and ``https`` to the literal 127.0.0.1, any port."""
    ports: frozenset[Annotated[int, Field(ge=1, le=65535)]] = frozenset({443, 8443})
    denied_networks: tuple[str, ...] = ()
    """Own networks in CIDR form: pods, services, public addresses, NAT64 prefixes."""
    denied_hosts: frozenset[Host] = frozenset()
    """Own names, in lower case, each with every name below it."""
    nameservers: tuple[str, ...] = ()
    """``address[:port]`` of the servers that are asked; empty: the system's."""
    ignore_proxies: bool = False
    """Send although the environment names a proxy: webhooks go through none."""


class HealthSettings(Concern):
    """Where ``/livez``, ``/readyz`` and ``/metrics`` of a worker are served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: a free port, logged at start."""


class TracingSettings(Concern):
    """Traces, off by default; needs the extra ``otel``."""

    endpoint: Url | None = None
    """A collector's address for traces, e.g. ``http://127.0.0.1:4318/v1/traces``."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The share of stories that are kept; decided by the trace id alone."""


class LogSettings(Concern):
    """Lines on standard error, one JSON object each."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Everything; each process reads what it needs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    database: DatabaseSettings
    keys: KeysSettings
    kafka: KafkaSettings = KafkaSettings()
    ledger: LedgerSettings = LedgerSettings()
    gateway: GatewaySettings = GatewaySettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    providers: Mapping[str, ProviderSettings] = {}
    """By the name that routes use: ``SLUICE_PROVIDERS__<NAME>__BASE_URL``."""
    recognisers: Mapping[RecogniserName, Setup] = {}
    """By the name that policies use: ``SLUICE_RECOGNISERS__<NAME>__KIND``."""


class _Kafka(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="ignore",
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = KafkaSettings()


def load_kafka() -> KafkaSettings:
    """The brokers alone, for commands that need nothing else of the environment.

    Raises:
        ValueError: a value is wrong; told as :func:`load` tells it.
    """
    try:
        return _Kafka().kafka
    except ValidationError as error:
        raise ValueError("\n  ".join(_told(error))) from None


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment.

    Raises:
        ValueError: a value is missing or wrong, or a ``SLUICE_`` name is unknown;
            the text names settings and what was expected, never a value.
    """
    names = os.environ if environment is None else environment  # noqa: TID251 - here
    unknown = sorted(set(filter(_stray, names)))
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(unknown)}")
    try:
        return Settings()
    except ValidationError as error:
        raise ValueError("\n  ".join(_told(error))) from None


def variable(path: Sequence[int | str]) -> str:
    """The environment's name of a setting, of which ``path`` is the way to it."""
    return PREFIX + "__".join(map(str, path)).upper()


def _told(error: ValidationError) -> Iterator[str]:
    for each in error.errors(
        include_url=False, include_input=False, include_context=False
    ):
        for name in _missing(each["loc"]) or (variable(each["loc"]),):
            yield f"{name}: {each['msg']}"


def _missing(path: Sequence[int | str]) -> Sequence[str]:
    """Where a whole concern is missing: what of it must be there."""
    field = Settings.model_fields.get(str(path[0])) if len(path) == 1 else None
    kind = field.annotation if field else None
    if not (isinstance(kind, type) and issubclass(kind, Concern)):
        return ()
    parts = kind.model_fields.items()
    return [variable((*path, name)) for name, part in parts if part.is_required()]


def proxies(environment: Mapping[str, str] | None = None) -> Sequence[str]:
    """The variables that name a proxy, as HTTP clients read them."""
    names = os.environ if environment is None else environment  # noqa: TID251 - here
    return sorted(name for name in names if name.lower() in PROXIES and names[name])


def _stray(name: str) -> bool:
    if not name.startswith(PREFIX) or name in ALIASES:
        return False
    concern = name.removeprefix(PREFIX).split("__")[0].lower()
    return concern not in Settings.model_fields


def shown(settings: Settings) -> str:
    """The settings as JSON, secrets masked; what ``--check`` prints."""
    return settings.model_dump_json(indent=2)
