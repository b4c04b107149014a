"""Foreign judge: mbpoll (Debian package `mbpoll`, on libmodbus), a C program that knows nothing of virtual lines.

It asks at every format over a strict line, several times in a row: the line must see the parity that libmodbus wants
(from INPCK and PARODD, since a pty drops PARENB), pace the frames, and count no violation of t3.5.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hil_rigs.serial_line import VirtualLine
from ports.serial_line import LineAnswer, SerialSettings
from ports.trace import TraceEvent
from wire import rtu

PARITY = {"N": "none", "E": "even", "O": "odd"}


class Meter:
    """Two registers at id 1."""

    def __init__(self, settings: SerialSettings) -> None:
        self.settings = settings

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        asked = rtu.is_frame(octets) and octets[0] == 1
        return [LineAnswer(rtu.frame(1, b"\x03\x04\x12\x34\x56\x78"), 0.01)] if asked else []


def mbpoll(path: str, port: SerialSettings) -> subprocess.CompletedProcess[str]:
    command = ["mbpoll", "-m", "rtu", "-a", "1", "-b", str(port.baud), "-P", PARITY[port.parity]]
    command += ["-s", str(port.stop_bits), "-t", "4:hex", "-c", "2", "-o", "1", "-1", "-q", path]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (apt install mbpoll)")
@pytest.mark.parametrize("format_", ["8N1", "8E1", "8O1", "8N2"])
def test_mbpoll_reads_at_every_format(format_: str) -> None:
    settings = SerialSettings(19200, format_)
    events: list[TraceEvent] = []
    with VirtualLine(SerialSettings(9600, "8N1"), [Meter(settings)], tracer=events.append) as line:
        for _ in range(3):
            done = mbpoll(line.path, settings)
            assert done.returncode == 0, done.stderr
            assert "0x1234" in done.stdout
            assert "0x5678" in done.stdout
        assert line.counters.violations == line.counters.garbled == 0
    sent = [one.data for one in events if one.kind == "line.sent"]
    assert sent == [{"from": one, "baud": 19200, "format": format_} for _ in range(3) for one in ("master", 0)]


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (apt install mbpoll)")
def test_mbpoll_with_the_wrong_parity_hears_nothing() -> None:
    with VirtualLine(SerialSettings(9600, "8N1"), [Meter(SerialSettings(19200, "8E1"))]) as line:
        done = mbpoll(line.path, SerialSettings(19200, "8O1"))
        assert "timed out" in done.stdout + done.stderr
        assert line.counters.garbled == 1
