"""Lets any pyserial program use a virtual line at every format: `ptysim:///dev/pts/N` (see `protocol_ptysim.py`).

>>> import serial, meters.ptysim
>>> meters.ptysim.register()
>>> serial.serial_for_url("ptysim:///tmp/line", 19200, parity="E")  # doctest: +SKIP
"""

from __future__ import annotations

import serial


def register() -> None:
    """Make the scheme `ptysim://` known to `serial.serial_for_url` in this process; harmless when repeated."""
    if __name__ not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(__name__)
