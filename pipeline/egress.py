"""Where a URL that a customer names may lead: nowhere inside.

Two layers use this: the check of the text (a courtesy at registration), and the check
of each resolved address (the boundary, at every attempt; ``infra/webhooks/guard``).
``ipaddress.is_global`` is no guard: what it holds true differs between releases, and
it takes multicast, site-local and mapped addresses for global ones. Hence lists.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_CHARS: Final = 2048
MAX_HOST_CHARS: Final = 253
MAX_PORT: Final = 65_535
_DENIED_4: Final = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
        "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_ALLOWED_6: Final = IPv6Network("2000::/3")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_DENIED_6: Final = tuple(
    IPv6Network(net)
    for net in (
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48",
    )
)  # fmt: skip
_DENIED_NAMES: Final = frozenset(
    {"localhost", "metadata.google.internal", "instance-data"}
)
_DENIED_SUFFIXES: Final = (
    ".localhost", ".internal", ".local", ".svc", ".cluster.local",
)  # fmt: skip
# Our own grammar, not a URL parser's: what two parsers read differently is refused.
# A query follows a path: "https://a.example?@b.example/" names b to some of them.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*"
    r"(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)?)"
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """What an operator adds to the lists, and what development relaxes.

    Attributes:
        denied: own networks: pods, services, public addresses, NAT64 prefixes.
        denied_hosts: own names in lower case, each with every name below it.
        loopback: development only: ``http`` and ``https`` to the literal 127.0.0.1,
            any port. A name that leads there stays refused.
    """

    ports: frozenset[int] = frozenset({443, 8443})
    http: bool = False
    loopback: bool = False
    denied: tuple[Network, ...] = ()
    denied_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the parts that are dialled; nothing is parsed a second time."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The one text of this target."""
        default = {"https": 443, "http": 80}[self.scheme]
        port = "" if self.port == default else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Not a place to send to; ``expected`` says what one looks like."""

    expected: str


def target(url: str, rules: EgressRules) -> Target | Forbidden:
    """Read a URL in the strictest way.

    Refused: other schemes and ports, user information, fragments, address literals in
    any spelling, names without a dot, with a numeric last label, or of the inside.
    """
    found = _URL.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
    if found is None:
        return Forbidden("an absolute https URL of at most 2,048 ASCII characters")
    scheme, host = found["scheme"], found["host"].lower()
    port = int(found["port"] or {"https": 443, "http": 80}[scheme])
    place = Target(scheme, host, port, found["target"] or "/")
    if is_loopback(host, rules) and 0 < port <= MAX_PORT:
        return place
    return _refused(place, rules) or place


def _refused(place: Target, rules: EgressRules) -> Forbidden | None:
    if place.scheme != "https" and not rules.http:
        return Forbidden("https")
    if place.port not in rules.ports:
        return Forbidden(f"a port of {', '.join(map(str, sorted(rules.ports)))}")
    if not _is_public_name(place.host, rules):
        return Forbidden("the name of a public host, no address and no inside name")
    return None


def _is_public_name(host: str, rules: EgressRules) -> bool:
    name = host.removesuffix(".")
    labels = name.split(".")
    return (
        len(labels) > 1
        and len(name) <= MAX_HOST_CHARS
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMERIC.fullmatch(labels[-1])
        and name not in _DENIED_NAMES
        and not name.endswith(_DENIED_SUFFIXES)
        and not any(f".{name}".endswith(f".{own}") for own in rules.denied_hosts)
    )


def is_loopback(host: str, rules: EgressRules) -> bool:
    """Is this the one literal that development may dial?"""
    return rules.loopback and host == "127.0.0.1"


def denied(address: Address, rules: EgressRules) -> bool:
    """Is this address one that we must never dial?

    IPv4-mapped addresses are judged as the IPv4 address that they carry.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return denied(address.ipv4_mapped, rules)
    if any(address in net for net in rules.denied if net.version == address.version):
        return True
    if isinstance(address, IPv4Address):
        return any(address in net for net in _DENIED_4)
    return address not in _ALLOWED_6 or any(address in net for net in _DENIED_6)


def all_allowed(addresses: Sequence[str], rules: EgressRules) -> bool:
    """May every one of these be dialled? One denied address refuses the whole answer.

    An empty answer, a scoped address and what is no address are refused.
    """
    try:
        found = [ip_address(address) for address in addresses]
    except ValueError:
        return False
    scoped = any(isinstance(a, IPv6Address) and a.scope_id for a in found)
    return bool(found) and not scoped and not any(denied(a, rules) for a in found)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks from settings; one of IPv4-mapped addresses as that of IPv4.

    Raises:
        ValueError: one is no network in CIDR form.
    """
    return tuple(_unmapped(ip_network(text)) for text in texts)


def _unmapped(net: Network) -> Network:
    if not (isinstance(net, IPv6Network) and net.subnet_of(_MAPPED)):
        return net
    low = int(net.network_address) - int(_MAPPED.network_address)
    return IPv4Network((low, net.prefixlen - _MAPPED.prefixlen))
