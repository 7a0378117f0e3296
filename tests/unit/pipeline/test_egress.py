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
