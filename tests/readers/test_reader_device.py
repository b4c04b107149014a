"""The simulated serial reader and the real driver, over a line in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.errors import LocalError
from ports.reader import CardSeen
from readers.reader_device import SETTINGS, ReaderDevice
from readers.serial_reader import PROTOCOLS, SerialReader

UID, OTHER = bytes.fromhex("04A2B3C4D5E680"), bytes.fromhex("DEADBEEF")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_driver_puts_cards_on_it(protocol: str) -> None:
    seen: list[CardSeen] = []

    async def main(clock: VirtualClock) -> None:
        device = ReaderDevice(protocol)
        async with MemoryLine(SETTINGS, [device]) as line:
            reader = SerialReader("r1", line.port(), clock, protocol=protocol)

            async def listen() -> None:
                seen.extend([card async for card in reader.cards()])

            listening = asyncio.create_task(listen())
            for uid in (UID, UID, OTHER):
                await clock.sleep(5)
                device.present(uid)
                await clock.sleep(3)
                device.remove()
            await reader.close()
            await listening

    run_virtual(main, start=datetime(2026, 11, 20, tzinfo=UTC))
    assert [card.uid for card in seen] == [UID, UID, OTHER]
    first = seen[0].at
    assert [card.at - first for card in seen] == pytest.approx([0.0, 8.0, 16.0], abs=0.2)


@pytest.mark.parametrize("uid", [b"", bytes(3), bytes(11)])
def test_no_card_has_such_a_uid(uid: bytes) -> None:
    with pytest.raises(LocalError, match="4 to 10 octets"):
        ReaderDevice().present(uid)
