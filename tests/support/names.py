"""A name server over real UDP, with the answers that a test writes down."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from typing_extensions import override

Records = Sequence[tuple[str, str, str]]
"""Owner, type, value."""
SILENCE = dns.rcode.Rcode.NOTAUTH
"""Answers nothing at all; no test needs the code."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    records: Records = ()
    code: dns.rcode.Rcode = dns.rcode.NOERROR
    ttl: int = 0


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Says, for each name and type, what is due; the last answer stays.

    A name that is not there does not exist. A name without the type has no such record.
    """

    zone: Mapping[str, Mapping[str, Sequence[Said]]]
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        said = self._said(name, kind)
        self.asked.append((name, kind))
        if said.code == SILENCE:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.set_rcode(said.code)
        for owner, each, value in said.records:
            answer.answer.append(
                dns.rrset.from_text(f"{owner}.", said.ttl, "IN", each, value)
            )
        self._transport.sendto(answer.to_wire(), addr)

    def _said(self, name: str, kind: str) -> Said:
        if name not in self.zone:
            return Said(code=dns.rcode.NXDOMAIN)
        due = self.zone[name].get(kind) or self.zone[name].get("ANY") or [Said()]
        before = self.asked.count((name, kind))
        return due[min(before, len(due) - 1)]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def naming(
    zone: Mapping[str, Mapping[str, Sequence[Said]]],
) -> AsyncIterator[NameServer]:
    made = NameServer(zone)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: made, local_addr=("127.0.0.1", 0)
    )
    made.port = transport.get_extra_info("sockname")[1]
    try:
        yield made
    finally:
        transport.close()


def a(*addresses: str, at: str = "hooks.example.com") -> Said:
    """``A`` records."""
    return Said([(at, "A", each) for each in addresses])


def aaaa(*addresses: str, at: str = "hooks.example.com") -> Said:
    """``AAAA`` records."""
    return Said([(at, "AAAA", each) for each in addresses])


def cname(to: str, *addresses: str, at: str = "hooks.example.com") -> Said:
    """A ``CNAME``, and where it leads, in one answer."""
    return Said([(at, "CNAME", f"{to}."), *((to, "A", each) for each in addresses)])
