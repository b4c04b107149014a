"""Interfaces that can carry a link, and those that cannot."""

from __future__ import annotations

import socket

import pytest

from ports.errors import RigError
from tests.v2g.link.doubles import run
from v2g.link.interfaces import LOOPBACK, Interface, NoAddressYetError, in_memory, interface, ready_interface

NAME = socket.if_nameindex()[-1][1] if socket.if_nameindex()[-1][1] != "lo" else None
needs_interface = pytest.mark.skipif(NAME is None, reason="this machine has the loopback only")


@pytest.fixture
def kernel(tmp_path):
    """What /proc says: rows of if_inet6, and whether IPv6 is off."""

    def say(*rows, disabled=False):
        (tmp_path / "if_inet6").write_text("".join(f"{row} {NAME}\n" for row in rows))
        (tmp_path / str(NAME)).mkdir(exist_ok=True)
        (tmp_path / str(NAME) / "disable_ipv6").write_text(f"{int(disabled)}\n")
        return tmp_path / "if_inet6", tmp_path

    return say


LOCAL = "fe8000000000000000fc00fffe000001 04 40 20"
GLOBAL = "fd000000000000000000000000000002 04 40 00 82"


@needs_interface
def test_the_link_local_address_with_its_scope(kernel):
    found = interface(NAME, *kernel(GLOBAL, f"{LOCAL} 80"))
    assert str(found.address) == "fe80::fc:ff:fe00:1"
    assert found.scope_id == socket.if_nametoindex(NAME)
    assert found.host(found.address) == f"fe80::fc:ff:fe00:1%{found.scope_id}"


@needs_interface
@pytest.mark.parametrize(
    ("rows", "disabled", "text"),
    [
        ([GLOBAL], False, r"no link-local IPv6 address; is the interface up \(ip link set"),
        ([], True, r"IPv6 is disabled; enable it with: sysctl -w net\.ipv6\.conf"),
        ([f"{LOCAL} 08"], False, "somebody else on the link has the address fe80::fc:ff:fe00:1"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(kernel, rows, disabled, text):
    with pytest.raises(RigError, match=text):
        interface(NAME, *kernel(*rows, disabled=disabled))


@needs_interface
def test_an_address_being_checked_may_be_waited_for(kernel):
    with pytest.raises(NoAddressYetError, match="still being checked"):
        interface(NAME, *kernel(f"{LOCAL} 40"))


@needs_interface
def test_waiting_ends(kernel, monkeypatch):
    files = kernel(f"{LOCAL} 40")
    monkeypatch.setattr("v2g.link.interfaces.interface", lambda name: interface(name, *files))

    async def main(clock):
        begin = clock.monotonic()
        with pytest.raises(NoAddressYetError):
            await ready_interface(NAME, clock)
        waited = clock.monotonic() - begin
        files[0].write_text(f"{LOCAL} 80 {NAME}\n")
        return waited, await ready_interface(NAME, clock)

    waited, found = run(main)
    assert waited == pytest.approx(3.0, abs=0.2)
    assert found.name == NAME


def test_an_unknown_interface_is_told_with_those_there_are():
    with pytest.raises(RigError, match=r"no network interface 'eth99'; there are: .*lo"):
        interface("eth99")


@needs_interface
def test_a_kernel_without_ipv6(tmp_path):
    with pytest.raises(RigError, match="runs without IPv6"):
        interface(NAME, tmp_path / "missing", tmp_path)


def test_the_loopback_needs_no_scope_and_has_no_multicast():
    assert interface("lo") is LOOPBACK
    assert LOOPBACK.host(LOOPBACK.address) == "::1"
    assert not LOOPBACK.group.is_multicast
    assert in_memory().host(in_memory().address) == "fe80::5e"
    assert Interface("x", LOOPBACK.address, 3).host(LOOPBACK.address) == "::1"
