"""No spelling of an inside address passes either layer."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.egress import (
    EgressRules,
    Forbidden,
    Target,
    all_allowed,
    denied,
    networks,
    target,
)
from tests.support.bypasses import (
    ADDRESSES_4,
    ADDRESSES_6,
    BYPASSES,
    INWARD,
    SCOPED_6,
)

RULES = EgressRules()
DEVELOPMENT = EgressRules(loopback=True)


@pytest.mark.parametrize("url", [b.url for b in BYPASSES if b not in INWARD], ids=ascii)
def test_no_bypass_is_taken(url: str) -> None:
    assert isinstance(target(url, RULES), Forbidden)


def test_a_public_name_is_taken_as_it_is_dialled() -> None:
    found = target("https://Hooks.Example.com:8443/a/b?c=d%20e", RULES)

    assert Target("https", "hooks.example.com", 8443, "/a/b?c=d%20e") == found
    assert isinstance(found, Target)
    assert found.url == "https://hooks.example.com:8443/a/b?c=d%20e"


@pytest.mark.parametrize(
    ("rules", "url", "port"),
    [
        (RULES, "https://example.com/a", 443),
        (EgressRules(http=True, ports=frozenset({80})), "http://example.com/a", 80),
    ],
)
def test_the_port_of_a_scheme_is_not_written(
    rules: EgressRules, url: str, port: int
) -> None:
    scheme = url.partition(":")[0]
    found = target(url, rules)

    assert Target(scheme, "example.com", port, "/a") == found
    assert isinstance(found, Target)
    assert url == found.url
    assert found == target(url.replace("/a", f":{port}/a"), rules)


def test_plain_http_needs_the_operators_word() -> None:
    ports = frozenset({80})

    assert isinstance(target("http://a.example/", EgressRules(ports=ports)), Forbidden)


LONGEST_NAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


def test_a_url_and_its_host_have_a_longest_form() -> None:
    start = "https://a.example/"
    url, host = start + "a" * (2048 - len(start)), f"https://{LONGEST_NAME}/"

    assert isinstance(target(url, RULES), Target)
    assert isinstance(target(url + "a", RULES), Forbidden)
    assert isinstance(target(host, RULES), Target)
    assert isinstance(target(host.replace("d/", "dd/"), RULES), Forbidden)


@pytest.mark.parametrize(("port", "taken"), [(0, 0), (1, 1), (65_535, 1), (65_536, 0)])
def test_loopback_has_ports_from_1_to_65535(port: int, *, taken: bool) -> None:
    found = target(f"http://127.0.0.1:{port}/", DEVELOPMENT)

    assert taken == isinstance(found, Target)


def test_loopback_is_taken_in_development_alone() -> None:
    url = "http://127.0.0.1:9000/hook"

    assert Target("http", "127.0.0.1", 9000, "/hook") == target(url, DEVELOPMENT)
    assert isinstance(target(url, RULES), Forbidden)
    assert isinstance(target("http://10.0.0.1/", DEVELOPMENT), Forbidden)
    assert isinstance(target("http://127.0.0.2/", DEVELOPMENT), Forbidden)
    assert denied(IPv4Address("127.0.0.1"), DEVELOPMENT)


@pytest.mark.parametrize("address", [*ADDRESSES_4, *ADDRESSES_6, *SCOPED_6])
@pytest.mark.parametrize("rules", [RULES, DEVELOPMENT], ids=["rules", "development"])
def test_every_inside_address_is_denied(address: str, rules: EgressRules) -> None:
    """In development too: a name that leads to 127.0.0.1 is none of ours."""
    assert not all_allowed([address], rules)


def test_one_denied_address_refuses_the_whole_answer() -> None:
    assert all_allowed(["1.1.1.1", "2606:4700::1111"], RULES)
    assert not all_allowed(["1.1.1.1", "127.0.0.1"], RULES)
    assert not all_allowed(["1.1.1.1", "::1"], RULES)
    assert not all_allowed([], RULES)
    assert not all_allowed(["redis"], RULES)


def test_an_operators_own_networks_are_denied() -> None:
    rules = EgressRules(denied=networks(["52.1.0.0/16", "2600:1f00::/24"]))

    assert not all_allowed(["52.1.2.3"], rules)
    assert not all_allowed(["2600:1f00::1"], rules)
    assert all_allowed(["52.2.2.3"], rules)


def test_a_network_of_mapped_addresses_is_that_of_those_they_carry() -> None:
    rules = EgressRules(denied=networks(["::ffff:52.1.0.0/112", "::ffff:0:0/128"]))

    assert not all_allowed(["52.1.2.3"], rules)
    assert not all_allowed(["::ffff:52.1.2.3"], rules)
    assert all_allowed(["52.2.2.3"], rules)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_a_mapped_address_is_judged_as_the_one_it_carries(inner: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{inner}")

    assert denied(inner, RULES) == denied(mapped, RULES)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nothing_outside_global_unicast_is_dialled(address: IPv6Address) -> None:
    outside = int(address) >> 125 != 1

    assert not outside or denied(address, RULES) or address.ipv4_mapped is not None


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_what_the_standard_library_holds_private_is_denied(a: IPv4Address) -> None:
    inside = a.is_private or a.is_multicast or a.is_reserved or a.is_link_local

    assert denied(ip_address(str(a)), RULES) or not inside
