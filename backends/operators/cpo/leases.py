"""Who delivers to a taker: one process at a time, whichever of those that share the database came first."""

from __future__ import annotations

import sqlalchemy as sa

from backends.operators.cpo.schema import LEASES
from backends.store.database import Database
from backends.store.locks import lock
from ports.clock import Clock

LEASE_S = 120  # longer than any push takes; after a crash another process waits so long


class Leases:
    """Of one process. A lease that is not renewed ends by itself."""

    def __init__(self, database: Database, clock: Clock, holder: str) -> None:
        """holder: of no other process, whatever it is called."""
        self._database = database
        self._clock = clock
        self._holder = holder
        self._until: dict[str, int] = {}

    async def hold(self, sink: str) -> bool:
        """Take or renew the lease of a taker; False while another process has it. Raises StoreError."""
        now = self._now()
        if self._until.get(sink, 0) - now > LEASE_S // 2:
            return True
        held = await self._database.write(lambda connection: self._take(connection, sink, now))
        self._until[sink] = now + LEASE_S if held else 0
        return held

    async def release(self) -> None:
        """Let others deliver at once; harmless when there is nothing to release. Raises StoreError."""
        if not self._until:
            return
        self._until.clear()
        await self._database.write(
            lambda connection: connection.execute(LEASES.delete().where(LEASES.c.holder == self._holder))
        )

    def _take(self, connection: sa.Connection, sink: str, now: int) -> bool:
        lock(connection, f"cpo:lease:{sink}")
        mine = LEASES.c.sink == sink
        row = connection.execute(sa.select(LEASES).where(mine)).one_or_none()
        if row is None:
            connection.execute(LEASES.insert().values(sink=sink, holder=self._holder, until=now + LEASE_S))
        elif row.holder == self._holder or row.until <= now:
            connection.execute(LEASES.update().where(mine).values(holder=self._holder, until=now + LEASE_S))
        else:
            return False
        return True

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
