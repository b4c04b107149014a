"""No fault of line or meter makes the master return a wrong value; a plain Modbus library does."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from contextlib import suppress

import pytest
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException

from meters.simulated import SimulatedMeter
from ports.serial_line import SerialSettings
from tests.meters.fault_matrix import FAULTS, MODEL, POLLS, run_campaign
from tests.meters.plant import Plant
from wire import rtu

SETTINGS = [SerialSettings(9600, "8N1"), SerialSettings(19200, "8E1"), SerialSettings(115200, "8N1")]
ALL_SETTINGS = [
    SerialSettings(baud, form)
    for baud in (1200, 2400, 9600, 19200, 38400, 115200)
    for form in ("8N1", "8E1", "8O1", "8N2")
]
POLLS_OF_SOAK = int(os.environ.get("RTU_POLLS", "1000"))

HARMLESS = {  # the master has to get every value through these
    "none",
    "00 before",
    "noise before",
    "noise after",
    "echo",
    "echo, now and then",
    "50 ms gap",
    "answer too early",
    "line-clock jitter",
}
COPIES = {fault for fault in FAULTS if "twice" in fault or "two meters" in fault} | {"several at once"}


def test_the_matrix_is_large_enough() -> None:
    assert len(FAULTS) >= 12


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings.baud}-{settings.format}")
@pytest.mark.parametrize("fault", FAULTS)
def test_no_wrong_value(fault: str, settings: SerialSettings) -> None:
    campaign = run_campaign(fault, settings, polls=60, seed=7)
    assert campaign.wrong == []
    assert campaign.right + campaign.errors == 60
    if fault in HARMLESS:
        assert campaign.errors == 0
    else:
        assert campaign.right > 0


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - COPIES))
def test_no_wrong_value_without_the_extra_silence_of_billing(fault: str) -> None:
    """Everything but copies of answers is safe for live values, too."""
    assert run_campaign(fault, SETTINGS[0], polls=60, seed=8, settle=False).wrong == []


@pytest.mark.soak
@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda settings: f"{settings.baud}-{settings.format}")
@pytest.mark.parametrize("fault", FAULTS)
def test_no_wrong_value_in_a_thousand_polls(fault: str, settings: SerialSettings) -> None:
    """RTU_POLLS polls (1000) for each fault, baud rate and format."""
    campaign = run_campaign(fault, settings, POLLS_OF_SOAK, seed=1)
    assert campaign.wrong == []
    assert campaign.right > 0


async def test_guard_a_plain_library_takes_a_late_answer_for_the_next_one() -> None:
    """The matrix is worth something only if it can fail: pymodbus returns the first register's value for the second.

    The device keeps the answer to the first request until the second one has come, so nothing depends on timing.
    """
    device_end, client_end = pty.openpty()
    tty.setraw(client_end)
    os.set_blocking(device_end, False)
    sim = SimulatedMeter(MODEL, Plant(), device=1)
    first, second = POLLS[0], POLLS[2]
    requests: list[bytes] = []

    def on_request() -> None:
        with suppress(BlockingIOError):
            requests.append(os.read(device_end, 256))
        if len(requests) == 2:
            for octets in requests:
                (answer,) = sim.hear(octets, 0.0)
                os.write(device_end, answer.octets)

    loop = asyncio.get_running_loop()
    loop.add_reader(device_end, on_request)
    client = AsyncModbusSerialClient(os.ttyname(client_end), baudrate=9600, timeout=0.2, retries=0, reconnect_delay=0)
    try:
        assert await client.connect()
        with pytest.raises(ModbusException):
            await client.read_input_registers(first.address, count=2, device_id=1)
        answer = await client.read_input_registers(second.address, count=2, device_id=1)
        assert tuple(answer.registers) == sim.execute(first)
        assert tuple(answer.registers) != sim.execute(second)
    finally:
        client.close()
        loop.remove_reader(device_end)
        os.close(device_end)
        os.close(client_end)
    assert [rtu.is_frame(octets) for octets in requests] == [True, True]
