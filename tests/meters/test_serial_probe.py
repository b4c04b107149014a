"""The probe finds how a meter is set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hil_rigs.serial_line import FaultPlan, MemoryLine, VirtualLine
from hil_rigs.virtual_clock import run_virtual
from meters.serial_port import SerialPort
from meters.serial_probe import Seen, conclusion, probe
from ports.serial_line import LineAnswer, SerialSettings
from wire import rtu


class Meter:
    """Answers one register, or refuses."""

    def __init__(self, settings: SerialSettings, pdu: bytes = b"\x03\x02\x12\x34") -> None:
        self.settings = settings
        self.pdu = pdu

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        asked = rtu.is_frame(octets) and octets[0] == 7
        return [LineAnswer(rtu.frame(7, self.pdu), 0.02)] if asked else []


def tries(
    meter: SerialSettings, plan: FaultPlan | None = None, lenient: bool = False, pdu: bytes = b"\x83\x02"
) -> list[Seen]:
    async def main() -> list[Seen]:
        async with MemoryLine(meter, [Meter(meter, pdu)], faults=plan or FaultPlan(), lenient_uart=lenient) as line:
            seen = probe(line.port, (1, 7), (9600, 19200), wait_s=0.1)
            return [one async for one in seen]

    return run_virtual(main(), start=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("format_", ["8E1", "8O1"])
@pytest.mark.parametrize("pdu", [b"\x03\x02\x12\x34", b"\x83\x02"])
@pytest.mark.parametrize("echo", [False, True])
def test_a_meter_answers_at_its_own_settings_only(format_: str, pdu: bytes, echo: bool) -> None:
    plan = FaultPlan()
    if echo:
        plan.inject("echo")
    seen = tries(SerialSettings(19200, format_), plan, pdu=pdu)
    assert len(seen) == 2 * 2 * 4
    good = [one for one in seen if one.verdict == "answer"]
    assert [(one.settings.baud, one.settings.format, one.device) for one in good] == [(19200, format_, 7)]
    assert conclusion(seen) == f"answers: device 7 at 19200 {format_}"
    assert "answer after" in str(good[0])


def test_stop_bits_cannot_be_told_apart() -> None:
    assert "cannot be told apart" in conclusion(tries(SerialSettings(9600, "8N1")))


def test_garbage_and_silence_are_told_apart() -> None:
    noisy = FaultPlan()
    noisy.inject("echo")
    noisy.inject("other_format", point="line.from_master", format="8O1")
    assert "silence at every setting" in conclusion(tries(SerialSettings(1200, "8E1")))
    seen = tries(SerialSettings(1200, "8E1"), noisy)
    assert "heard something" in conclusion(seen)
    assert any("garbage, " in str(one) for one in seen)


async def test_it_works_on_a_port() -> None:
    settings = SerialSettings(19200, "8E1")
    with VirtualLine(settings, [Meter(settings)]) as line:
        seen = [
            one
            async for one in probe(lambda one: SerialPort(line.path, one), (7,), (19200,), ("8N1", "8E1"), wait_s=0.1)
        ]
    assert [one.verdict for one in seen] == ["silence", "answer"]
