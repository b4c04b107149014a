"""A reader on a serial line, in virtual time: repeated, damaged, unplugged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from hil_rigs.serial_line.burst import Unplug
from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.errors import PeerError, RigError
from ports.reader import CardKind, CardSeen
from ports.serial_line import LineAnswer, SerialSettings
from ports.trace import TraceEvent
from readers.serial_reader import SerialReader
from wire.rfid_frame import frame

T = TypeVar("T")
SETTINGS = SerialSettings(9600, "8N1")
UID, TAG = bytes.fromhex("04A2B3C4"), bytes.fromhex("010063E9AE")


class Device:
    """Speaks by itself: (at, octets)."""

    settings = SETTINGS

    def __init__(self, *script: tuple[float, bytes]) -> None:
        self._script = list(script)

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        return []

    def speak(self, at: float) -> tuple[list[LineAnswer], float]:
        due = [LineAnswer(octets, 0.0) for when, octets in self._script if when <= at]
        self._script = [one for one in self._script if one[0] > at]
        return due, self._script[0][0] if self._script else at + 1e6


class Desk:
    """A line with a reader on it. script: seconds from now, octets."""

    def __init__(self, clock: VirtualClock, script: list[tuple[float, bytes]], **how: Any) -> None:
        self.clock = clock
        now = asyncio.get_running_loop().time()
        self.line = MemoryLine(SETTINGS, [Device(*((now + at, octets) for at, octets in script))], name="/dev/reader")
        self.trace: list[TraceEvent] = []
        self.reader = SerialReader("r1", self.line.port(), clock, tracer=self.trace.append, **how)

    async def cards(self, count: int, within: float = 600.0) -> list[CardSeen]:
        found: list[CardSeen] = []
        async with asyncio.timeout(within):
            async for card in self.reader.cards():
                found.append(card)
                if len(found) == count:
                    break
        return found


def at_desk(main: Callable[[Desk], Awaitable[T]], script: list[tuple[float, bytes]], **how: Any) -> T:
    async def run(clock: VirtualClock) -> T:
        desk = Desk(clock, script, **how)
        async with desk.line:
            try:
                return await main(desk)
            finally:
                await desk.reader.close()

    return run_virtual(run, start=datetime(2026, 11, 20, 8, tzinfo=UTC))


def repeated(octets: bytes, begin: float, end: float, every: float = 0.1) -> list[tuple[float, bytes]]:
    return [(begin + n * every, octets) for n in range(round((end - begin) / every))]


@pytest.mark.parametrize(
    ("octets", "how", "kind", "uid"),
    [
        (b"04A2B3C4\r\n", {}, "ISO14443", UID),
        (b"C4B3A204\r\n", {"reverse": True}, "ISO14443", UID),
        (b"E004010012345678\n", {"kind": CardKind.ISO15693}, "ISO15693", bytes.fromhex("E004010012345678")),
        (frame(UID), {"protocol": "frame"}, "ISO14443", UID),
        (frame(TAG), {"protocol": "frame", "kind": CardKind.UNDEFINED}, "UNDEFINED", TAG),
    ],
)
def test_a_card_that_stays_comes_once_and_again_after_it_left(
    octets: bytes, how: dict[str, Any], kind: str, uid: bytes
) -> None:
    async def main(desk: Desk) -> None:
        began = desk.clock.monotonic()
        found = await desk.cards(2)
        assert [(card.uid, card.kind, card.reader) for card in found] == [(uid, CardKind(kind), "r1")] * 2
        assert [card.at - began for card in found] == pytest.approx([1.0, 10.0], abs=0.1)
        with pytest.raises(TimeoutError):
            await desk.cards(1, within=100)

    at_desk(main, [*repeated(octets, 1.0, 3.0), *repeated(octets, 10.0, 12.0)], **how)


def test_another_card_is_seen_at_once() -> None:
    async def main(desk: Desk) -> None:
        assert [card.id for card in await desk.cards(2)] == ["04A2B3C4", "DEADBEEF"]

    at_desk(main, [(1.0, b"04A2B3C4\n"), (1.2, b"DEADBEEF\n")])


def test_noise_is_traced_and_the_next_card_read() -> None:
    async def main(desk: Desk) -> None:
        assert (await desk.cards(1))[0].uid == UID
        noise = [(event.data["skipped"], event.raw) for event in desk.trace if event.kind == "reader.noise"]
        assert sum(int(str(count)) for count, _ in noise) == 5
        assert b"".join(raw for _, raw in noise).startswith(b"\x00\x00ab")

    at_desk(main, [(1.0, b"\x00\x00abc"), (2.0, frame(UID))], protocol="frame")


def test_a_uid_that_no_such_card_has_is_told_and_the_next_one_read() -> None:
    async def main(desk: Desk) -> None:
        with pytest.raises(
            PeerError, match=r"reader r1 on /dev/reader: UID of 5 octets \(010063E9AE\), ISO14443 has 4"
        ):
            await desk.cards(1)
        assert (await desk.cards(1))[0].uid == UID

    at_desk(main, [(1.0, frame(TAG) + frame(UID))], protocol="frame")


def test_unplugged_it_says_so_once_and_goes_on_when_it_is_back() -> None:
    async def main(desk: Desk) -> None:
        began = desk.clock.monotonic()
        desk.line.line.unplug(asyncio.get_running_loop().time() + 5.0, Unplug(for_s=30.0))
        desk.line.pump(asyncio.get_running_loop().time())
        assert (await desk.cards(1))[0].uid == UID
        with pytest.raises(RigError, match=r"reader r1: .*/dev/reader was unplugged"):
            await desk.cards(1)
        (card,) = await desk.cards(1)
        assert card.at - began == pytest.approx(60.0, abs=0.5)
        assert [event.kind for event in desk.trace] == ["reader.open", "reader.open"]

    at_desk(main, [(1.0, b"04A2B3C4\n"), (60.0, b"04A2B3C4\n")])


def test_a_port_that_is_not_there_is_said_once() -> None:
    async def main(desk: Desk) -> None:
        desk.line.line.plugged = False
        with pytest.raises(RigError, match="reader r1: serial port /dev/reader is not there"):
            await desk.cards(1)
        asyncio.get_running_loop().call_later(20.0, setattr, desk.line.line, "plugged", True)
        assert (await desk.cards(1))[0].uid == UID

    at_desk(main, [(60.0, b"04A2B3C4\n")])


def test_closing_ends_who_waits() -> None:
    async def main(desk: Desk) -> None:
        waiting = asyncio.create_task(desk.cards(1))
        await desk.clock.sleep(5)
        began = desk.clock.monotonic()
        await desk.reader.close()
        assert await waiting == []
        assert desk.clock.monotonic() == began

    at_desk(main, [])


def test_who_waits_can_be_cancelled() -> None:
    async def main(desk: Desk) -> None:
        waiting = asyncio.create_task(desk.cards(1))
        await desk.clock.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await desk.cards(1))[0].uid == UID

    at_desk(main, [(5.0, b"04A2B3C4\n")])
