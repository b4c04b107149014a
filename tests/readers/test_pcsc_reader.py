"""The PC/SC reader over a PC/SC that a test plays; the real one is in tests/compliance."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hil_rigs.real_clock import RealClock
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.errors import LocalError, PeerError, RigError
from ports.reader import CardKind, CardSeen
from readers import pcsc_reader
from readers.pcsc_reader import PcscReader
from readers.pcsclite import ReaderState

PRESENT, EMPTY, MUTE = 0x20, 0x10, 0x220
ATR = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
UID = bytes.fromhex("04A2B3C4")


class Played:
    """A PC/SC with one reader. states: what `wait` tells one after the other; an exception is raised."""

    def __init__(self, *states: int | RigError, names: tuple[str, ...] = ("ACS ACR122U 00 00",)) -> None:
        self.names = names
        self.states = list(states)
        self.answer = UID + b"\x90\x00"
        self.closed = self.asked = 0
        self.known: list[int] = []
        self.drained = threading.Event()
        self._cancelled = threading.Event()

    def readers(self) -> list[str]:
        return list(self.names)

    def wait(self, reader: str, known: ReaderState, seconds: float) -> ReaderState | None:
        self.known.append(known.raw)
        if not self.states:
            self._cancelled.wait(seconds)
            return None
        state = self.states.pop(0)
        if not self.states:
            self.drained.set()
        if isinstance(state, RigError):
            raise state
        return ReaderState(state, ATR)

    def ask_uid(self, reader: str) -> bytes:
        self.asked += 1
        return self.answer

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
async def readers() -> AsyncIterator[list[PcscReader]]:
    made: list[PcscReader] = []
    yield made
    for one in made:
        await one.close()


async def cards(reader: PcscReader, count: int) -> list[CardSeen]:
    found: list[CardSeen] = []
    async with asyncio.timeout(20):
        async for card in reader.cards():
            found.append(card)
            if len(found) == count:
                break
    return found


def on(played: Played, readers: list[PcscReader], device: str = "") -> PcscReader:
    readers.append(PcscReader("r1", RealClock(), device=device, connect=lambda: played))
    return readers[-1]


async def test_a_card_that_stays_is_read_once(readers: list[PcscReader]) -> None:
    in_use = 0x100
    played = Played(EMPTY, 0x10000 | PRESENT, 0x10000 | PRESENT | in_use, 0x20000 | EMPTY, 0x30000 | PRESENT)
    found = await cards(on(played, readers), 2)
    assert [(card.uid, card.kind, card.reader) for card in found] == [(UID, CardKind.ISO14443, "r1")] * 2
    assert played.asked == 2
    assert played.known[:3] == [0, EMPTY, 0x10000 | PRESENT]


async def test_a_card_that_left_and_came_between_two_looks_is_another_one(readers: list[PcscReader]) -> None:
    played = Played(0xFFFF0000 | PRESENT, 0x10000 | PRESENT)
    assert len(await cards(on(played, readers), 2)) == 2


async def test_a_card_that_has_left_when_it_is_asked_is_none(readers: list[PcscReader]) -> None:
    played = Played(PRESENT, 0x10000 | EMPTY)
    played.answer = b""
    reader = on(played, readers)
    waiting = asyncio.create_task(cards(reader, 1))
    assert await asyncio.to_thread(played.drained.wait, 5)
    await reader.close()
    assert await waiting == []
    assert played.asked == 1


@pytest.mark.parametrize(
    ("state", "answer", "text"),
    [(PRESENT, b"\x6a\x81", "reader r1: the card tells no UID"), (MUTE, b"", "does not answer")],
)
async def test_a_card_without_uid_is_told_and_the_next_one_read(
    readers: list[PcscReader], state: int, answer: bytes, text: str
) -> None:
    played = Played(state, 0x20000 | EMPTY, 0x30000 | PRESENT)
    played.answer = answer
    reader = on(played, readers)
    with pytest.raises(PeerError, match=text):
        await cards(reader, 1)
    played.answer = UID + b"\x90\x00"
    assert (await cards(reader, 1))[0].uid == UID


@pytest.mark.parametrize(
    ("names", "device", "text"),
    [
        ((), "", "a reader is not there: plug it in; there are none"),
        (("A 00", "B 00"), "", "is not one but 2: name it; there are A 00, B 00"),
        (("A 00", "B 00"), "C", "a reader called 'C' is not there: plug it in; there are A 00, B 00"),
    ],
)
async def test_which_reader_is_said_once(
    readers: list[PcscReader], names: tuple[str, ...], device: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcsc_reader, "TRY_AGAIN_S", 0.01)
    played = Played(PRESENT, names=names)
    reader = on(played, readers, device)
    with pytest.raises(RigError, match=text):
        await cards(reader, 1)
    waiting = asyncio.create_task(cards(reader, 1))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    played.names = ("A 00", "C 00")[bool(device) :] if device else ("A 00",)
    assert (await waiting)[0].uid == UID


async def test_an_unplugged_reader_is_told_and_taken_up_again(
    readers: list[PcscReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcsc_reader, "TRY_AGAIN_S", 0.01)
    gone = RigError("PC/SC reader X was unplugged")
    played = Played(PRESENT, gone, gone, PRESENT)
    reader = on(played, readers)
    assert len(await cards(reader, 1)) == 1
    with pytest.raises(RigError, match="reader r1: PC/SC reader X was unplugged"):
        await cards(reader, 1)
    assert len(await cards(reader, 1)) == 1
    assert played.closed == 2


async def test_who_waits_can_be_cancelled_and_no_card_is_lost(readers: list[PcscReader]) -> None:
    go = threading.Event()

    class Slow(Played):
        def ask_uid(self, reader: str) -> bytes:
            go.wait(10)
            return super().ask_uid(reader)

    played = Slow(PRESENT)
    reader = on(played, readers)
    waiting = asyncio.create_task(cards(reader, 1))
    assert await asyncio.to_thread(played.drained.wait, 5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert (await cards(reader, 1))[0].uid == UID


def test_not_in_virtual_time() -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(LocalError, match="reader r1: PC/SC is real"):
            PcscReader("r1", clock)

    run_virtual(main, start=datetime(2026, 11, 20, tzinfo=UTC))
