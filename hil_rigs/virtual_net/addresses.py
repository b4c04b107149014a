"""Names and addresses of the network in memory: no resolver, no thread."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

SockAddr = tuple[Any, ...]
AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, SockAddr]

WILDCARDS = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - nothing is bound in reality
LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
OWN = {socket.AF_INET: "192.0.2.254", socket.AF_INET6: "fe80::254"}  # RFC 5737 and link-local
SERVICES = {"http": 80, "https": 443, "mqtt": 1883}
_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}


def family_of(address: str) -> socket.AddressFamily:
    """IPv4 or IPv6."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sockaddr(address: str, port: int) -> SockAddr:
    """As the socket module writes it."""
    return (address, port, 0, 0) if ":" in address else (address, port)


def normal(address: str) -> str:
    """One spelling for each address; a scope (`%eth0`) is dropped, there is one wire only."""
    return ipaddress.ip_address(address.partition("%")[0]).compressed


def is_multicast(address: str) -> bool:
    """Whether it is a group."""
    return ipaddress.ip_address(address).is_multicast


def own_address(peer: str) -> str:
    """Where a connection to `peer` comes from."""
    if ipaddress.ip_address(peer).is_loopback:
        return peer
    return OWN[family_of(peer)]


class Names:
    """What `getaddrinfo` knows: numbers, localhost, and the hosts that were added."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[str, ...]] = {"localhost": ("127.0.0.1",), "ip6-localhost": ("::1",)}

    def add(self, name: str, *addresses: str) -> None:
        """Give a name its addresses."""
        self._hosts[name.lower()] = tuple(normal(address) for address in addresses)

    def addresses(self, host: str) -> tuple[str, ...]:
        """Of a name or number. Raises socket.gaierror."""
        try:
            return (normal(host),)
        except ValueError:
            pass
        if host.lower() not in self._hosts:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {host} (virtual network)")
        return self._hosts[host.lower()]

    def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name of the socket module
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """As socket.getaddrinfo."""
        host = host.decode() if isinstance(host, bytes) else host
        port = port.decode() if isinstance(port, bytes) else port
        if not host:
            table = WILDCARDS if flags & socket.AI_PASSIVE else LOOPBACKS
            addresses: tuple[str, ...] = tuple(table.values())
        else:
            addresses = self.addresses(host)
        if isinstance(port, str) and not port.isdigit():
            if port not in SERVICES:
                raise socket.gaierror(socket.EAI_SERVICE, f"Servname not supported: {port}")
            number = SERVICES[port]
        else:
            number = int(port or 0)
        found: list[AddressInfo] = [
            (family_of(address), kind, proto or protocol, "", sockaddr(address, number))
            for address in addresses
            if family in (0, family_of(address))
            for kind, protocol in _PROTOCOLS.items()
            if type in (0, kind) and proto in (0, protocol)
        ]
        if not found:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"Address family for hostname not supported: {host}")
        return found
