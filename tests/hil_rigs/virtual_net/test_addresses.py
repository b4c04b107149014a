"""Names and addresses; the judge is the resolver of the machine, where it can be asked without a network."""

from __future__ import annotations

import socket

import pytest

from hil_rigs.virtual_net.addresses import Names, normal, own_address

S, D = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::7"])
@pytest.mark.parametrize("port", [0, 443, "443"])
@pytest.mark.parametrize("kind", [S, D])
def test_numbers_are_resolved_as_by_the_machine(host: str, port: int | str, kind: socket.SocketKind) -> None:
    assert Names().getaddrinfo(host, port, type=kind) == socket.getaddrinfo(host, port, type=kind)


@pytest.mark.parametrize("flags", [0, socket.AI_PASSIVE])
def test_no_host_is_loopback_or_everything(flags: int) -> None:
    assert sorted(Names().getaddrinfo(None, 80, type=S, flags=flags)) == sorted(
        socket.getaddrinfo(None, 80, type=S, flags=flags)
    )


def test_names_octets_and_services() -> None:
    names = Names()
    names.add("CPO.example", "2001:DB8::1", "192.0.2.1")
    found = names.getaddrinfo(b"cpo.EXAMPLE", "https", family=socket.AF_INET, type=S)
    assert found == [(socket.AF_INET, S, socket.IPPROTO_TCP, "", ("192.0.2.1", 443))]
    assert names.addresses("cpo.example") == ("2001:db8::1", "192.0.2.1")


def test_what_cannot_be_resolved() -> None:
    names = Names()
    with pytest.raises(socket.gaierror) as caught:
        names.getaddrinfo("192.0.2.1", 80, family=socket.AF_INET6)
    assert caught.value.errno == socket.EAI_ADDRFAMILY
    with pytest.raises(socket.gaierror) as caught:
        names.getaddrinfo("localhost", "no-such-service")
    assert caught.value.errno == socket.EAI_SERVICE
    with pytest.raises(socket.gaierror) as caught:
        names.getaddrinfo("localhost.", 80)
    assert caught.value.errno == socket.EAI_NONAME


def test_scopes_are_dropped_and_sources_fit() -> None:
    assert normal("FE80::1%eth0") == "fe80::1"
    assert own_address("127.0.0.5") == "127.0.0.5"
    assert own_address("192.0.2.1") == "192.0.2.254"
    assert own_address("ff02::1") == "fe80::254"
