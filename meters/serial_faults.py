"""What can be wrong with a serial port, said so that the reader knows what to do."""

from __future__ import annotations

import os
from pathlib import Path

from serial.tools import list_ports

from ports.errors import RigError


class PortMissing(RigError):
    """No such device file."""


class PortBusy(RigError):
    """Another program has it."""


class PortRefused(RigError):
    """It may not be opened, is no serial port, or cannot do the settings."""


class PortUnplugged(RigError):
    """It was there and is gone."""


def others_there() -> str:
    """The serial ports of this machine, by their stable names where they have one."""
    stable = {os.path.realpath(path): str(path) for path in Path("/dev/serial/by-id").glob("*")}
    found = sorted(
        f"{stable.get(port.device, port.device)} ({port.description})" if port.description != "n/a" else port.device
        for port in list_ports.comports()
    )
    return "ports found: " + ", ".join(found) if found else "no serial port found on this machine"


def holder_of(path: str) -> str:
    """ " by <program> (pid <n>)" of whoever has the file open, as far as this user may see; "" if unknown."""
    target = os.path.realpath(path)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [link.readlink() for link in (process / "fd").iterdir()]
            if Path(target) in links and int(process.name) != os.getpid():
                return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return ""
