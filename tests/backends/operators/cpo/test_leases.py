"""Who may deliver, on both engines."""

from __future__ import annotations

import asyncio

from backends.operators.cpo.leases import LEASE_S, Leases
from backends.store.database import Database
from tests.doubles import ManualClock
from tests.postgres import as_it_is


async def test_one_holder_at_a_time(any_url: str) -> None:
    clock = ManualClock()
    first_database, second_database = (Database(any_url, clock, as_it_is) for _ in range(2))
    first, second = Leases(first_database, clock, "first"), Leases(second_database, clock, "second")
    try:
        assert sorted(await asyncio.gather(first.hold("mo"), second.hold("mo"))) == [False, True]
        await first.release()
        await second.release()
        assert await first.hold("mo")
        assert not await second.hold("mo")
        assert await second.hold("hub")  # each taker by itself
        clock.advance(LEASE_S - 1)
        assert await first.hold("mo")  # renewed
        clock.advance(LEASE_S - 1)
        assert not await second.hold("mo")
        clock.advance(1)
        assert await second.hold("mo")
        assert not await first.hold("mo")
        await first.release()  # it has nothing that it could give away
        assert not await first.hold("mo")
        await second.release()
        await second_database.close()
        await second.release()  # once more, when all is closed
        assert await first.hold("mo")
    finally:
        await first_database.close()
        await second_database.close()
