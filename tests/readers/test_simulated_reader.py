"""The simulated reader: a card is seen once each time that it comes."""

from __future__ import annotations

import asyncio

import pytest

from ports.errors import LocalError, RigError
from ports.reader import CardKind, CardSeen
from readers.simulated_reader import SimulatedReader
from tests.doubles import ManualClock

UID = bytes.fromhex("04a2b3c4d5e680")
OTHER = bytes.fromhex("deadbeef")


async def seen(reader: SimulatedReader, count: int) -> list[CardSeen]:
    found = []
    async with asyncio.timeout(5):
        async for card in reader.cards():
            found.append(card)
            if len(found) == count:
                break
    return found


async def test_a_card_that_stays_is_seen_once_and_again_when_it_comes_again() -> None:
    clock = ManualClock()
    reader = SimulatedReader("r1", clock)
    reader.present(UID)
    reader.present(UID)
    clock.advance(2)
    reader.remove()
    reader.remove()
    reader.present(UID)
    reader.tap(OTHER)
    reader.tap(OTHER)
    found = await seen(reader, 4)
    assert [(card.at, card.uid) for card in found] == [(1000.0, UID), *[(1002.0, u) for u in (UID, OTHER, OTHER)]]
    assert (found[0].reader, found[0].kind, found[0].id) == ("r1", CardKind.ISO14443, "04A2B3C4D5E680")


@pytest.mark.parametrize(("uid", "kind"), [(b"", "ISO14443"), (bytes(8), "ISO14443"), (bytes(7), "ISO15693")])
def test_a_uid_that_no_such_card_has_is_refused(uid: bytes, kind: str) -> None:
    with pytest.raises(LocalError, match=f"UID of {kind} has"):
        SimulatedReader("r1", ManualClock()).present(uid, CardKind(kind))


async def test_unplugged_it_says_so_and_goes_on_when_it_is_plugged_again() -> None:
    reader = SimulatedReader("r1", ManualClock())
    reader.unplug()
    with pytest.raises(RigError, match="reader r1 was unplugged"):
        await seen(reader, 1)
    reader.present(UID)
    reader.plug()
    assert [card.uid for card in await seen(reader, 1)] == [UID]


async def test_closing_ends_who_waits_for_cards() -> None:
    reader = SimulatedReader("r1", ManualClock())
    waiting = asyncio.create_task(seen(reader, 1))
    await asyncio.sleep(0)
    await reader.close()
    await reader.close()
    assert await waiting == []
