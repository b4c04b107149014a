"""How true the virtual serial line is to time, and what its model costs."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from random import Random

from benchmarks.report import Report, interleaved
from hil_rigs.serial_line import LineProcess
from hil_rigs.serial_line.uart import characters, wave
from meters.line_code import publish
from meters.serial_port import SerialPort
from meters.termios2 import Termios2
from meters.timerfd import boottime
from ports.serial_line import LineAnswer, LineDevice, SerialSettings

TITLE = "virtual serial line: frame ends, precise waiting, UART model"
SETTINGS = (SerialSettings(9600, "8N1"), SerialSettings(19200, "8E1"), SerialSettings(115200, "8N1"))
ROUNDS = 200


class Meter:
    """Answers nine octets after t3.5."""

    def __init__(self, settings: SerialSettings) -> None:
        self.settings = settings

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:  # noqa: ARG002 - of LineDevice
        """The answer to a read of two registers has nine octets."""
        return [LineAnswer(bytes(9), self.settings.silence_s)]


def meters(settings: SerialSettings) -> Sequence[LineDevice]:
    """One meter, in the line's process."""
    return [Meter(settings)]


def run(report: Report) -> None:
    """Frame ends at three baud rates, then waiting, then the model."""
    for settings in SETTINGS:
        _frame_ends(report, settings)
    asyncio.run(_waiting(report))
    _model(report)


def _frame_ends(report: Report, settings: SerialSettings) -> None:
    label = f"{settings.baud} {settings.format}"
    report.progress(f"{ROUNDS} turns at {label}")
    with LineProcess(settings, meters, (settings,)) as line:
        fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        attributes = Termios2.read(fd)
        publish(attributes, settings)
        attributes.apply(fd)
        ideal = 17 * settings.character_s + settings.silence_s
        seen = []
        for _ in range(ROUNDS):
            time.sleep(1.2 * settings.silence_s)
            begin = boottime()
            os.write(fd, bytes(8))
            got = 0
            while got < 9:
                got += len(os.read(fd, 64))
            seen.append(boottime() - begin - ideal)
        os.close(fd)
        late = statistics.median(line.lateness_s)
        violations = line.counters.violations
    allowed = 0.1 * settings.character_s if settings.baud < 115200 else 100e-6
    report.ratio(
        f"frame end late, of what is allowed, {label}", late, allowed, ceiling=1.0, detail=f"{late * 1e6:.0f} us"
    )
    report.value(
        f"answer late as its reader sees it, {label}", statistics.median(seen) * 1e6, "us", f"{violations} violations"
    )


async def _waiting(report: Report) -> None:
    report.progress("waiting 1.75 ms, the silence above 19200 baud")
    master, slave = os.openpty()
    port = SerialPort(os.ttyname(slave), SerialSettings(115200, "8N1"))
    port.open()
    ours, theirs = [], []
    for _ in range(300):
        at = port.time() + 0.00175
        await port.wait_until(at)
        ours.append(port.time() - at)
        at = port.time() + 0.00175
        await asyncio.sleep(0.00175)
        theirs.append(port.time() - at)
    port.close()
    os.close(master)
    os.close(slave)
    late, sleep = statistics.median(ours), statistics.median(theirs)
    detail = f"{late * 1e6:.0f} and {sleep * 1e6:.0f} us"
    report.ratio("overshoot of wait_until against asyncio.sleep", late, sleep, ceiling=0.5, detail=detail)


def _model(report: Report) -> None:
    octets = Random(1).randbytes(1000)
    sender, receiver = SerialSettings(115200, "8E1"), SerialSettings(115200, "8N1")
    cost = interleaved({"model": lambda: characters(wave(octets, sender, 0.0), receiver)}, repeat=10)["model"] / 1000
    report.ratio(
        "UART model against the characters' own time at 115200 8E1",
        cost,
        sender.character_s,
        ceiling=0.05,
        detail=f"{cost * 1e6:.1f} us per octet",
    )
