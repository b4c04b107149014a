"""What the CPO knows about its stations: boots, connectors, reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from backends.operators.cpo.schema import CONNECTORS, REPORTS, STATIONS
from backends.store.database import Database
from backends.store.locks import lock
from ports.clock import Clock

MAX_REPORTS = 10_000  # of one station; the oldest go first


class StationBook:
    """Of one CPO. Every method raises StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def profile(self, identity: str) -> int:
        """The highest security profile that the station ever used."""
        query = sa.select(STATIONS.c.profile).where(STATIONS.c.identity == identity)
        return await self._database.look_up(lambda connection: connection.execute(query).scalar() or 0)

    async def admitted(self, identity: str, profile: int) -> None:
        """The station may connect; from now on with this security profile at least."""
        at = self._clock.now().isoformat()

        def work(connection: sa.Connection) -> None:
            lock(connection, f"csms:{identity}")
            mine = STATIONS.c.identity == identity
            known = connection.execute(sa.select(STATIONS.c.profile).where(mine)).scalar_one_or_none()
            if known is None:
                row = {"identity": identity, "version": "", "profile": profile, "boot": {}, "boots": 0, "seen": at}
                connection.execute(STATIONS.insert().values(row))
            else:
                changes = {"profile": max(known, profile), "seen": at}
                connection.execute(STATIONS.update().where(mine).values(changes))

        await self._database.write(work)

    async def connected(self, identity: str, version: str) -> None:
        """The station is here."""
        changes = {"version": version, "seen": self._clock.now().isoformat()}
        update = STATIONS.update().where(STATIONS.c.identity == identity).values(changes)
        await self._database.write(lambda connection: connection.execute(update).close())

    async def booted(self, identity: str, boot: Mapping[str, Any]) -> None:
        """What its BootNotification says."""
        changes = {"boot": dict(boot), "boots": STATIONS.c.boots + 1, "seen": self._clock.now().isoformat()}
        update = STATIONS.update().where(STATIONS.c.identity == identity).values(changes)
        await self._database.write(lambda connection: connection.execute(update).close())

    async def connector(self, identity: str, evse: int, connector: int, status: str, detail: str, at: str) -> None:
        """What a StatusNotification says; one that is older than what is known changes nothing."""
        row = {
            "station": identity,
            "evse": evse,
            "connector": connector,
            "status": status,
            "detail": detail[:200],
            "at": at,
        }

        def work(connection: sa.Connection) -> None:
            lock(connection, f"csms:{identity}")
            mine = (
                (CONNECTORS.c.station == identity) & (CONNECTORS.c.evse == evse) & (CONNECTORS.c.connector == connector)
            )
            known = connection.execute(sa.select(CONNECTORS.c.at).where(mine)).scalar_one_or_none()
            if known is None:
                connection.execute(CONNECTORS.insert().values(row))
            elif known <= at:
                connection.execute(CONNECTORS.update().where(mine).values(row))

        await self._database.write(work)

    async def report(self, identity: str, kind: str, body: Mapping[str, Any]) -> None:
        """Keep a security event or a part of a device report, once."""
        text = json.dumps(body, sort_keys=True, default=str)
        digest, at = hashlib.sha256(text.encode()).hexdigest(), self._clock.now().isoformat()

        def work(connection: sa.Connection) -> None:
            lock(connection, f"csms:{identity}")
            mine = (REPORTS.c.station == identity) & (REPORTS.c.kind == kind)
            known = sa.select(REPORTS.c.seq).where(mine, REPORTS.c.digest == digest)
            if connection.execute(known).first() is not None:
                return
            row = {"station": identity, "kind": kind, "digest": digest, "body": json.loads(text), "at": at}
            seq = connection.execute(REPORTS.insert().values(row).returning(REPORTS.c.seq)).scalar_one()
            kept = sa.select(REPORTS.c.seq).where(mine).order_by(REPORTS.c.seq.desc()).limit(1).offset(MAX_REPORTS)
            oldest = connection.execute(kept).scalar()
            if oldest is not None and oldest < seq:
                connection.execute(REPORTS.delete().where(mine, REPORTS.c.seq <= oldest))

        await self._database.write(work)

    async def all(self) -> list[dict[str, Any]]:
        """Every station with its connectors, by identity."""

        def work(connection: sa.Connection) -> list[dict[str, Any]]:
            found = {row.identity: {**row._mapping, "connectors": []} for row in connection.execute(_BY_IDENTITY)}  # noqa: SLF001 - SQLAlchemy's public name for it
            for row in connection.execute(_CONNECTORS):
                if row.station in found:
                    found[row.station]["connectors"].append({**row._mapping})  # noqa: SLF001
            return list(found.values())

        return await self._database.read(work)


_BY_IDENTITY = sa.select(STATIONS).order_by(STATIONS.c.identity)
_CONNECTORS = sa.select(CONNECTORS).order_by(CONNECTORS.c.station, CONNECTORS.c.evse, CONNECTORS.c.connector)
