"""The line in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hil_rigs.serial_line import FaultPlan, LineProcess
from hil_rigs.serial_line.simple_devices import Repeater
from meters.serial_faults import PortUnplugged
from meters.serial_port import SerialPort
from ports.errors import LocalError, RigError
from ports.serial_line import LineDevice, SerialSettings

S = SerialSettings(19200, "8E1")


def devices(delay_s: float) -> Sequence[LineDevice]:
    return [Repeater(S, delay_s)]


def no_devices() -> Sequence[LineDevice]:
    raise LookupError("no such meter model")


async def test_it_answers_counts_breaks_and_ends() -> None:
    with LineProcess(S, devices, (0.01,), faults=FaultPlan()) as line:
        port = SerialPort(line.path, S)
        port.open()
        port.write(b"abc")
        assert await port.receive(port.time() + 10) == b"abc"
        counters = line.counters
        assert (counters.requests, counters.answers) == (1, 1)
        assert len(line.lateness_s) == 1
        assert line.lateness_s[0] >= 0
        line.inject("corrupt", times=1, bits=3)
        await port.wait_until(port.time() + S.silence_s)
        port.write(b"abc")
        assert await port.receive(port.time() + 10) not in (b"abc", b"")
        with pytest.raises(RigError, match="no line fault 'corupt'"):
            line.inject("corupt")
        line.unplug()
        with pytest.raises(PortUnplugged):
            await port.receive(port.time() + 10)
        line.plug()
        assert line.url == f"ptysim://{line.path}"
    with pytest.raises(LocalError, match="not started"):
        _ = line.path
    line.close()


def test_what_fails_in_the_process_is_told() -> None:
    with pytest.raises(RigError, match="no such meter model"):
        LineProcess(S, no_devices).start()
