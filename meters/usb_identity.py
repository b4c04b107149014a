"""Recognise a USB adapter that came back under another name (ttyUSB0 -> ttyUSB1)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from serial.tools import list_ports


@dataclass(frozen=True, slots=True)
class UsbIdentity:
    """Vendor, product and serial number, and the interface on adapters with several ports."""

    vendor: int
    product: int
    serial_number: str
    interface: str | None

    @classmethod
    def of(cls, path: str) -> UsbIdentity | None:
        """Identity of the adapter at a device file; None if it is not USB or has no serial number."""
        return _present().get(os.path.realpath(path))

    def path_now(self) -> str | None:
        """Where this adapter is now; None if it is not there."""
        for path, identity in _present().items():
            if identity == self:
                return path
        return None


def _present() -> dict[str, UsbIdentity]:
    return {
        port.device: UsbIdentity(port.vid, port.pid, port.serial_number, port.interface)
        for port in list_ports.comports()
        if port.vid is not None and port.pid is not None and port.serial_number
    }
