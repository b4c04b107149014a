"""The network interface that leads to the other end of the cable: its link-local address, or what is wrong with it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from ports.clock import Clock
from ports.errors import RigError
from v2g import sdp

_ADDRESSES = Path("/proc/net/if_inet6")  # proc_net(5): address, index, prefix, scope, flags, name
_SETTINGS = Path("/proc/sys/net/ipv6/conf")
_LINK_SCOPE = 0x20
_DAD_FAILED, _TENTATIVE = 0x08, 0x40  # linux/if_addr.h
ADDRESS_LIMIT_S = 3.0
"""How long an address is waited for: after a link comes up the kernel checks for duplicates for about 2 s."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link. scope_id: the kernel's interface index, 0 where addresses need none (::1, in memory).

    group: where SDP requests go: ff02::1, or the address itself where there is no multicast (loopback).
    """

    name: str
    address: IPv6Address
    scope_id: int = 0
    group: IPv6Address = sdp.MULTICAST_GROUP

    def host(self, address: IPv6Address) -> str:
        """An address as sockets on this link want it, with its scope where it needs one."""
        return f"{address}%{self.scope_id}" if self.scope_id and address.is_link_local else str(address)


LOOPBACK = Interface("lo", IPv6Address("::1"), group=IPv6Address("::1"))


def in_memory(address: str = "fe80::5e", name: str = "memory") -> Interface:
    """An end of the network in memory."""
    return Interface(name, IPv6Address(address))


async def ready_interface(name: str, clock: Clock) -> Interface:
    """As `interface`, after waiting for the address of a link that has just come up. Raises RigError."""
    until = clock.monotonic() + ADDRESS_LIMIT_S
    while True:
        try:
            return interface(name)
        except NoAddressYetError:
            if clock.monotonic() >= until:
                raise
            await clock.sleep(0.1)


class NoAddressYetError(RigError):
    """There is no link-local address, or the kernel still checks whether it is somebody else's."""


def interface(name: str, addresses: Path = _ADDRESSES, settings: Path = _SETTINGS) -> Interface:
    """The link behind an interface of this machine; "lo" is the loopback without multicast.

    Raises RigError: no such interface, IPv6 disabled, no link-local address, duplicate address.
    """
    known = {each: index for index, each in socket.if_nameindex()}
    if name not in known:
        raise RigError(f"there is no network interface {name!r}; there are: {', '.join(sorted(known))}")
    if not addresses.exists():
        raise RigError(
            f"{name}: this kernel runs without IPv6, which every ISO 15118 link needs; remove ipv6.disable=1 from the "
            "kernel command line"
        )
    if (switch := settings / name / "disable_ipv6").exists() and switch.read_text().strip() == "1":
        raise RigError(f"{name}: IPv6 is disabled; enable it with: sysctl -w net.ipv6.conf.{name}.disable_ipv6=0")
    if name == LOOPBACK.name:
        return LOOPBACK
    found = _link_local(name, addresses)
    if not found:
        raise NoAddressYetError(
            f"{name}: no link-local IPv6 address; is the interface up (ip link set {name} up) and the cable plugged? "
            f"Else add one: ip address add fe80::15:118/64 dev {name}"
        )
    usable = [address for address, flags in found.items() if not flags & (_DAD_FAILED | _TENTATIVE)]
    if usable:
        return Interface(name, usable[0], known[name])
    if any(flags & _DAD_FAILED for flags in found.values()):
        raise RigError(f"{name}: somebody else on the link has the address {next(iter(found))}; give {name} another")
    raise NoAddressYetError(f"{name}: the address {next(iter(found))} is still being checked for duplicates")


def _link_local(name: str, addresses: Path) -> Mapping[IPv6Address, int]:
    """Link-local addresses of an interface and their flags, in the kernel's order."""
    rows = (line.split() for line in addresses.read_text(encoding="ascii").splitlines())
    return {
        IPv6Address(bytes.fromhex(address)): int(flags, 16)
        for address, _index, _prefix, scope, flags, owner in rows
        if owner == name and int(scope, 16) == _LINK_SCOPE
    }


def choose_interface(transport: asyncio.DatagramTransport, link: Interface) -> None:
    """Send a datagram socket's multicasts over this link, and take only this link's."""
    option = transport.get_extra_info("socket").setsockopt
    if link.group.is_multicast:
        option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.scope_id)
        member = link.group.packed + struct.pack("@I", link.scope_id)  # struct ipv6_mreq
        option(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
