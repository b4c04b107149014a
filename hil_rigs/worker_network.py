"""A network of its own for this process: its SDP, its ports and its cables meet nobody else's.

Linux: unshare(2), netdevice(7), veth(4); CAP_SYS_ADMIN is needed. Only the calling thread moves, and what it starts
from then on: threads, sockets, processes. So it has to come before all of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from hil_rigs.resources import VehicleResource
from hil_rigs.rig import Rig
from hil_rigs.wiring.network_namespace import CLONE_NEWNET, OWN
from ports.errors import RigError

_LIBC = ctypes.CDLL(None, use_errno=True)
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # linux/sockios.h: SIOCGIFFLAGS, SIOCSIFFLAGS
_UP = 0x1  # linux/if.h: IFF_UP
_REQUEST = struct.Struct("16sH14x")  # struct ifreq
_NO_DAD = Path("/proc/sys/net/ipv6/conf/default/accept_dad")  # nobody else is on these links: addresses hold at once


def why_not() -> str:
    """Why this process cannot have a network of its own; "" when it can. It stays where it is."""
    said: list[str] = []

    def attempt() -> None:
        try:
            _unshare()
        except RigError as error:
            said.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return "".join(said)


def leave_for_own(rig: Rig | None = None) -> str:
    """Move into a new namespace with a loopback, and with a cable (a veth pair) between the interfaces of the rig.

    Returns its name, "net:[4026532177]". Raises RigError.
    """
    pairs = list(cables(rig)) if rig is not None else []
    _unshare()
    try:
        _bring_up("lo")
        if pairs and _NO_DAD.exists():
            _NO_DAD.write_text("0")
    except OSError as error:
        raise RigError(f"a new network namespace cannot be set up: {error.strerror}") from error
    for station, vehicle in pairs:
        _lay_cable(station, vehicle)
    return str(OWN.readlink())


def cables(rig: Rig) -> Iterator[tuple[str, str]]:
    """The interfaces of each connector and of the vehicle that is plugged in there, where both have one.

    Who is plugged in where is said by the sessions; without any, by there being one of each.
    """
    connectors = {one.id: one.secc.interface for one in rig.gateway.connectors if one.secc and one.secc.interface}
    vehicles = {
        name: one.interface
        for name, one in rig.resources.items()
        if isinstance(one, VehicleResource) and one.interface and one.netns is None
    }
    plugged = {(one.connector, one.vehicle) for one in rig.sessions}
    if not plugged and len(connectors) == len(vehicles) == 1:
        plugged = {(connector, vehicle) for connector in connectors for vehicle in vehicles}
    for connector, vehicle in sorted(plugged):
        if connector in connectors and vehicle in vehicles:
            yield connectors[connector], vehicles[vehicle]


def wants_own(rig: Rig) -> bool:
    """Whether the rig names cables that this machine has not: each process may then lay its own."""
    here = {name for _, name in socket.if_nameindex()}
    named = {name for pair in cables(rig) for name in pair}
    return bool(named) and not named & here


def _unshare() -> None:
    if _LIBC.unshare(CLONE_NEWNET):
        raise RigError(f"no new network namespace: {os.strerror(ctypes.get_errno())} (it needs root)")


def _bring_up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = fcntl.ioctl(control, _GET_FLAGS, _REQUEST.pack(name.encode(), 0))
        flags = _REQUEST.unpack(asked)[1] | _UP
        fcntl.ioctl(control, _SET_FLAGS, _REQUEST.pack(name.encode(), flags))


def _lay_cable(station: str, vehicle: str) -> None:
    program = shutil.which("ip")
    if program is None:
        raise RigError(f"no cable between {station} and {vehicle}: there is no ip (package iproute2)")
    for words in (
        ("link", "add", "name", station, "type", "veth", "peer", "name", vehicle),
        ("link", "set", "dev", station, "up"),
        ("link", "set", "dev", vehicle, "up"),
    ):
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603 - checked names
        if done.returncode:
            raise RigError(f"no cable between {station} and {vehicle}: {done.stderr.strip()}")
