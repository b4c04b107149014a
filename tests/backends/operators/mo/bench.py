"""A mobility operator with customers, asked without a network, and a CPO that speaks OCPI to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from backend_client.credential import Credential
from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiCdrs, OcpiSite
from backend_client.ocpi_session import OcpiSession, Party
from backends.faults import FaultSwitch
from backends.operators.mo import tables
from backends.operators.mo.billing import Tariff
from backends.operators.mo.customers import add_contract, add_customer, add_token
from backends.operators.mo.key_database import register_key
from backends.operators.mo.serve import RunningMo, serve_mo
from backends.operators.mo.settings import MoSettings
from backends.operators.ocpi_server import OcpiPartner
from backends.sealing import hash_secret
from backends.store.database import Database
from ports.trace import TraceEvent
from tests.backends.operators.sessions import Station
from tests.doubles import ManualClock

EMAID, CARD = "DEPLBC00000001", "04A1B2C3D4E5F6"
START = datetime(2025, 1, 1, tzinfo=UTC)
SITE = OcpiSite(
    location_id="LOC1",
    address="Teststrasse 1",
    city="Berlin",
    postal_code="10115",
    country="DEU",
    latitude="52.52000",
    longitude="13.40500",
    price_per_kwh=Decimal("0.31"),
)
TARIFF = Tariff(name="home", valid_from=START, ct_per_kwh=Decimal("45.5"), ct_fixed=Decimal(50))
CPO = Party("DE", "CPO")
SECRET_HASH = hash_secret("a secret for tests")


class MoBench:
    """Everything. station: whose key the MO knows."""

    def __init__(self, mo: RunningMo, clock: ManualClock, session: OcpiSession, faults: FaultSwitch) -> None:
        self.mo = mo
        self.clock = clock
        self.session = session
        self.faults = faults
        self.station = Station()
        self.authoriser = OcpiAuthoriser(session, SITE.location_id)
        self.cdrs = OcpiCdrs(session, CPO, SITE, clock.now, self.authoriser.info)
        self.events: list[TraceEvent] = []

    async def know(self, station: Station, **options: Any) -> None:
        """Register the station's key."""
        await self.mo.database.write(
            lambda connection: register_key(connection, station.public_key, START, meter=station.meter, **options)
        )

    async def rows(self, table: Any) -> list[Any]:
        """Everything in a table."""
        return await self.mo.database.read(lambda connection: connection.execute(table.select()).all())


@asynccontextmanager
async def mo_bench(
    folder: Path,
    clock: Any = None,
    *,
    bench: type[MoBench] = MoBench,
    incoming: Credential | None = None,
    url: str = "",
    **settings: Any,
) -> AsyncIterator[MoBench]:
    """One customer, one contract with a card; the key of `station` is registered. incoming: what the CPO shows.

    url: of the database, "" = SQLite in the folder.
    """
    clock = clock or ManualClock()
    for name in ("incoming", "outgoing"):
        (folder / name).write_text(f"token {name}".replace(" ", "-"))
    partner = OcpiPartner(party=CPO, incoming=Credential(folder / "incoming"), outgoing=Credential(folder / "outgoing"))
    database = Database(url or f"sqlite:///{folder / 'mo.db'}", clock, tables.prepare)
    faults = FaultSwitch()
    options = {"partners": (partner,), "tariffs": (TARIFF,), **settings}
    events: list[TraceEvent] = []
    mo = await serve_mo(
        MoSettings(party=Party("DE", "PLB"), **options), database, clock, events.append, Random(1), faults=faults
    )
    end = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())

    def customers(connection: Any) -> None:
        add_customer(connection, "c1", "alice", "Alice", SECRET_HASH)
        add_contract(connection, "c1", EMAID, int(START.timestamp()), end, 0)
        add_token(connection, EMAID, CARD, "RFID", 0)

    await database.write(customers)
    async with OcpiSession(mo.versions_url, incoming or Credential(folder / "incoming"), Random(2)) as session:
        made = bench(mo, clock, session, faults)
        made.events = events
        await made.know(made.station)
        try:
            yield made
        finally:
            await mo.close()
            await database.close()
