"""A proxy that webhooks would pass by in silence keeps a process from starting."""

import pytest
from pydantic import SecretStr

from infra.resources import egress_rules
from infra.settings import (
    DatabaseSettings,
    KeysSettings,
    Settings,
    WebhooksSettings,
    proxies,
)
from pipeline.egress import EgressRules
from pipeline.errors import Misconfigured

VARIABLES = ["HTTP_PROXY", "https_proxy", "Https_Proxy", "ALL_PROXY", "all_proxy"]
PROXY = "http://user:hunter2@proxy.example:3128"


def settings(*, ignore: bool) -> Settings:
    url = SecretStr("postgresql:///x")
    return Settings(
        database=DatabaseSettings(url=url, keystore_url=url),
        keys=KeysSettings.model_validate({"directory": "k", "root": "r", "own": "o"}),
        webhooks=WebhooksSettings(ignore_proxies=ignore),
    )


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxies():
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_proxy_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, PROXY)

    with pytest.raises(ValueError, match=name) as refused:
        egress_rules(settings(ignore=False))
    assert "SLUICE_WEBHOOKS__IGNORE_PROXIES=true" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert EgressRules() == egress_rules(settings(ignore=True))


def test_a_denied_network_that_is_none_is_told_by_its_setting() -> None:
    told = settings(ignore=True)
    webhooks = told.webhooks.model_copy(update={"denied_networks": {"10.0.0.1/8"}})

    with pytest.raises(Misconfigured, match="SLUICE_WEBHOOKS__DENIED_NETWORKS"):
        egress_rules(told.model_copy(update={"webhooks": webhooks}))


@pytest.mark.parametrize("other", ["NO_PROXY", "PROXY", "MY_HTTP_PROXY"])
def test_nothing_else_is_a_proxy(other: str) -> None:
    assert [] == proxies({other: PROXY, "HTTP_PROXY": ""})
    assert EgressRules() == egress_rules(settings(ignore=False))
