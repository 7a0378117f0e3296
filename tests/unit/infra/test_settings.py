"""Settings: what is shown of them; a proxy that webhooks would pass in silence."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from infra.resources import egress_rules
from infra.settings import (
    DatabaseSettings,
    KeysSettings,
    ProviderSettings,
    Settings,
    WebhooksSettings,
    proxies,
    shown,
)
from pipeline.egress import EgressRules, Forbidden, target
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


@pytest.mark.parametrize("name", ["Ours.example", ".ours.example", "ours.example.", ""])
def test_a_denied_host_that_would_deny_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="denied_hosts"):
        WebhooksSettings.model_validate({"denied_hosts": [name]})


def test_a_denied_host_is_denied_with_what_is_below() -> None:
    webhooks = WebhooksSettings(denied_hosts=frozenset({"ours.example"}))
    rules = egress_rules(
        settings(ignore=True).model_copy(update={"webhooks": webhooks})
    )

    for url in ("https://ours.example/in", "https://a.b.ours.example/in"):
        assert isinstance(target(url, rules), Forbidden)
    assert not isinstance(target("https://yours.example/in", rules), Forbidden)


@pytest.mark.parametrize("other", ["NO_PROXY", "PROXY", "MY_HTTP_PROXY"])
def test_nothing_else_is_a_proxy(other: str) -> None:
    assert [] == proxies({other: PROXY, "HTTP_PROXY": ""})
    assert EgressRules() == egress_rules(settings(ignore=False))


USER = "https://ours:hunter2@h.example:8443/v1"
TOKEN = "https://h.example/v1?token=hunter2"
PLAIN = "https://h.example/v1"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (USER, "https://**********@h.example:8443/v1"),
        (TOKEN, "https://h.example:443/v1?**********"),
        (PLAIN, PLAIN),
    ],
)
def test_addresses_are_shown_without_the_secrets_in_them(given: str, told: str) -> None:
    base: dict[str, Any] = settings(ignore=True).model_dump()
    ledger = {
        "timestamps": {"x": {"url": given, "certificates": "c"}},
        "witnesses": {"x": {"url": given, "key": "k"}},
        "buckets": {"x": {"name": "n", "endpoint": given}},
    }
    made = Settings.model_validate(
        {
            **base,
            "ledger": ledger,
            "providers": {"x": {"base_url": USER}},
            "tracing": {"endpoint": given},
        }
    )

    text = shown(made)

    assert "hunter2" not in text
    found = json.loads(text)
    kept = found["ledger"]
    assert [told] * 4 == [
        found["tracing"]["endpoint"],
        kept["timestamps"]["x"]["url"],
        kept["witnesses"]["x"]["url"],
        kept["buckets"]["x"]["endpoint"],
    ]
    assert USER == str(made.providers["x"].base_url), "what is used stays whole"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"base_url": "https://h.example/v1?api-version=3"}, "a path can follow"),
        ({"base_url": "https://h.example/v1?"}, "a path can follow"),
        ({"base_url": "https://h.example/v1#part"}, "a path can follow"),
        ({"base_url": USER, "api_key": "sk-made-up"}, "not both"),
        ({"base_url": PLAIN, "api_key": "sk-hunter2\n"}, "no line feed"),
        ({"base_url": PLAIN, "api_key": "sk-hunter2\r\nx: y"}, "no line feed"),
        ({"base_url": PLAIN, "api_key": "sk-hunter2 "}, "visible ASCII"),
        ({"base_url": PLAIN, "api_key": "sk-hünter2"}, "visible ASCII"),
    ],
)
def test_a_provider_that_no_call_could_reach_is_refused(
    more: dict[str, str], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected) as refused:
        ProviderSettings.model_validate(more)
    assert "hunter2" not in str(refused.value)


def test_a_provider_has_a_key_or_a_login() -> None:
    for more in ({"base_url": USER}, {"base_url": PLAIN, "api_key": "sk-made-up"}):
        ProviderSettings.model_validate(more)
