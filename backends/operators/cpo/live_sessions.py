"""Sessions under way, told to the mobility operators whose customers charge (OCPI 2.2.1, 9.2.2)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from backend_client.ocpi_cdrs import OcpiSite
from backend_client.ocpi_commands import put_session
from backend_client.ocpi_messages import Session
from backend_client.ocpi_session import OcpiSession, Party
from backend_client.ocpi_types import number, utc
from backends.operators.cpo import ledger
from backends.operators.cpo.csms import moment, timestamp
from backends.operators.cpo.roaming_sessions import RoamingSession, RoamingSessions
from backends.operators.cpo.schema import TRANSACTIONS
from backends.operators.cpo.settings import StationAccount
from backends.store.database import Database
from ocmf.container import FormatError, parse
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError
from ports.trace import TraceEvent, Tracer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
RESENT = timedelta(days=1)  # after a start: what ended since then may not have been told
LOG = logging.getLogger(__name__)
Key = tuple[str, str]  # station and transaction


class LiveSessions:
    """What holds now goes out, not every step to it: news of a session that wait for a partner are told as one."""

    def __init__(
        self,
        database: Database,
        sessions: RoamingSessions,
        partners: Mapping[str, OcpiSession],
        operator: Party,
        site: OcpiSite,
        account: Callable[[str], StationAccount],
        clock: Clock,
        *,
        source: str,
        tracer: Tracer,
    ) -> None:
        """partners: by party id. operator: the CPO. account: of a station."""
        self._database = database
        self._sessions = sessions
        self._operator = operator
        self._site = site
        self._account = account
        self._clock = clock
        self._source = source
        self._tracer = tracer
        self._partners = partners
        self._news: asyncio.Queue[Key] = asyncio.Queue()
        self._lanes: dict[str, asyncio.Queue[Key]] = {name: asyncio.Queue() for name in partners}
        self._waiting: dict[str, set[Key]] = {name: set() for name in partners}

    def changed(self, station: str, transaction_id: str) -> None:
        """Something of a transaction was kept."""
        self._news.put_nowait((station, transaction_id))

    async def run(self) -> None:
        """Tell until cancelled; first everything that a former process may not have told."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sort())
            for partner in self._partners:
                group.create_task(self._tell_all(partner))

    async def _sort(self) -> None:
        """Each piece of news to the partner whose customer it is."""
        try:
            for key in await self._untold():
                self.changed(*key)
        except Exception:
            LOG.exception("sessions of before the start are not told")
        while True:
            key = await self._news.get()
            try:
                owner = await self._sessions.owner(*key)
            except Exception:
                LOG.exception("news of session %s are lost", key[1])
                continue
            if owner is not None and owner.partner in self._lanes and key not in self._waiting[owner.partner]:
                self._waiting[owner.partner].add(key)
                self._lanes[owner.partner].put_nowait(key)

    async def _tell_all(self, partner: str) -> None:
        """In their order; a partner that is away is asked again with growing pauses."""
        pause, lane = FIRST_PAUSE_S, self._lanes[partner]
        while True:
            key = await lane.get()
            while True:
                self._waiting[partner].discard(key)  # what comes from now on is news again
                try:
                    await self._tell(partner, key)
                except RigError as error:
                    self._trace(partner, key, str(error))
                    await self._clock.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                    continue
                except (PeerError, LocalError) as error:  # refused, or it does not fit: the next news may
                    self._trace(partner, key, str(error))
                except Exception:
                    LOG.exception("session %s for %s", key[1], partner)
                pause = FIRST_PAUSE_S
                break

    async def _tell(self, partner: str, key: Key) -> None:
        def work(connection: sa.Connection) -> tuple[sa.Row[Any] | None, Sequence[sa.Row[Any]]]:
            return ledger.find(connection, *key), ledger.values(connection, *key)

        row, values = await self._database.read(work)
        owner = await self._sessions.owner(*key)
        if row is None or owner is None or not row.began:
            return
        evse_id = self._account(row.station).evse_id(row.evse) or f"{row.station}-{row.evse}"[:36]
        news = session_of(row, values, owner, self._operator, self._site, evse_id, self._clock.now())
        await put_session(self._partners[partner], news)
        self._trace(partner, key, "", status=news.status, kwh=str(news.kwh))

    async def _untold(self) -> Sequence[Key]:
        since = timestamp(self._clock.now() - RESENT)
        query = sa.select(TRANSACTIONS.c.station, TRANSACTIONS.c.transaction_id).where(
            (TRANSACTIONS.c.state == ledger.RUNNING) | (TRANSACTIONS.c.ended >= since)
        )
        return await self._database.read(
            lambda connection: [(row.station, row.transaction_id) for row in connection.execute(query)]
        )

    def _trace(self, partner: str, key: Key, why: str, **more: object) -> None:
        data = {"partner": partner, "station": key[0], "transaction": key[1], "why": why, **more}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "cpo.session", self._source, data))


def session_of(
    row: sa.Row[Any],
    values: Sequence[sa.Row[Any]],
    owner: RoamingSession,
    operator: Party,
    site: OcpiSite,
    evse_id: str,
    now: datetime,
) -> Session:
    """row: of the ledger, one that has begun. values: its signed values. evse_id: where it is. now: civil time."""
    return Session(
        country_code=operator.country_code,
        party_id=operator.party_id,
        id=row.transaction_id,
        start_date_time=utc(datetime.fromisoformat(moment(row.began))),
        end_date_time=utc(datetime.fromisoformat(moment(row.ended))) if row.ended else None,
        kwh=number(_kwh(values)),
        cdr_token=owner.token,
        auth_method=owner.auth_method,
        location_id=site.location_id,
        evse_uid=evse_id,
        connector_id=str(row.connector or 1),
        currency=site.currency,
        status="COMPLETED" if row.ended else "ACTIVE",
        last_updated=utc(now),
    )


def _kwh(values: Sequence[sa.Row[Any]]) -> Decimal:
    """So far, of the verified readings alone: the highest minus the lowest."""
    readings = list(_readings(values))
    return max(readings) - min(readings) if readings else Decimal(0)


def _readings(values: Sequence[sa.Row[Any]]) -> Iterator[Decimal]:
    for value in values:
        if value.verdict != ledger.VALID:
            continue
        try:
            record = parse(value.ocmf)
        except FormatError:
            continue
        yield from (reading.kwh for reading in record.readings if reading.kwh is not None)
