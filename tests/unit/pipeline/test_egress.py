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

RULES = EgressRules()
DEVELOPMENT = EgressRules(loopback=True)

INSIDE_4 = (
    "127.0.0.1 127.1 0 0.0.0.0 2130706433 017700000001 0x7f000001 0x7f.0.0.1 0x7f.1"
    " 0177.0.0.1 127.0.0.1. 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1"
    " 169.254.169.254 2852039166 0xa9fea9fe 169.254.170.2 100.100.100.200"
    " 168.63.129.16 192.0.0.192 100.64.0.1 198.18.0.1 224.0.0.1 240.0.0.1"
    " 255.255.255.255 1.1.1.1 8.8.8.8"
).split()
INSIDE_6 = (
    "::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:127.0.0.1 ::127.0.0.1"
    " ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a9fe:a9fe 2002:7f00:1::"
    " 2001:0:53aa:64c::1 fe80::1 fc00::1 fd00:ec2::254 fd20:ce::254 fec0::1 ff02::1"
    " 100::1 5f00::1 3fff::1 2001:db8::1"
).split()
SCOPED_6 = ["fe80::1%25eth0", "fe80::1%eth0"]
TEXTS = [
    "https://127。0。0。1/", "https://①②⑦.⓪.⓪.①/", "https://１２７.０.０.１/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://local\u00adhost.example/",
    "https://%31%32%37.0.0.1/", "https://a%00.example/", "https://a%0d%0a.example/",
    "https://exa\tmple.com/", "https://exa\nmple.com/", " https://example.com/",
    "https://example.com/\r\nx: y", "https://1.1.1.1 &@127.0.0.1# @3.3.3.3/",
    "https://user@127.0.0.1/", "https://example.com@127.0.0.1/",
    "https://example.com:80@127.0.0.1:8080/", "https://127.0.0.1\\@example.com/",
    "https://example.com\\@127.0.0.1/", "https://example.com#@127.0.0.1/",
    "https://example.com#fragment", "http:/\\127.0.0.1", "//127.0.0.1", "https:///x",
    "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/",
    "unix:/var/run/docker.sock", "http://example.com/", "HTTPS://example.com/",
    "https://example.com:/", "https://example..com/", "https://-a.example/",
    "https://a-.example/", "https://_a.example.com/", "https://.example.com/", "",
    "https://" + "a." * 200 + "com/", "https://example.com/" + "a" * 2048,
]  # fmt: skip
PORTS = [0, 99999, 22, 25, 80, 6379, 9092, 5432]
NAMES = (
    "localhost LOCALHOST localhost. a.localhost metadata.google.internal"
    " metadata.google.internal. kubernetes.default.svc redis kafka a.cluster.local"
    " printer.local instance-data x.internal example.0x1f example.123"
).split()


@pytest.mark.parametrize("host", [*INSIDE_4, *(f"[{h}]" for h in INSIDE_6 + SCOPED_6)])
def test_no_address_literal_is_taken(host: str) -> None:
    assert isinstance(target(f"https://{host}/", RULES), Forbidden)


@pytest.mark.parametrize("url", TEXTS)
def test_no_odd_text_is_taken(url: str) -> None:
    assert isinstance(target(url, RULES), Forbidden)


@pytest.mark.parametrize("port", PORTS)
def test_only_the_named_ports_are_taken(port: int) -> None:
    assert isinstance(target(f"https://hooks.example.com:{port}/", RULES), Forbidden)


@pytest.mark.parametrize("name", NAMES)
def test_no_inside_name_is_taken(name: str) -> None:
    assert isinstance(target(f"https://{name}/", RULES), Forbidden)


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
    assert not denied(IPv4Address("127.0.0.1"), DEVELOPMENT)
    assert denied(IPv4Address("127.0.0.2"), DEVELOPMENT)


@pytest.mark.parametrize(
    "address",
    [a for a in INSIDE_4 if a.count(".") == 3 and not a.startswith(("0x", "0177"))],
)
def test_every_inside_ipv4_address_is_denied(address: str) -> None:
    public = {"1.1.1.1", "8.8.8.8"}

    assert (address not in public) == (not all_allowed([address], RULES))


@pytest.mark.parametrize("address", INSIDE_6 + SCOPED_6)
def test_every_inside_ipv6_address_is_denied(address: str) -> None:
    assert not all_allowed([address], RULES)


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
