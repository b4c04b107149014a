"""CPO, MO, OEM and hub of one folder, any of them, brought up; what is missing in the folder is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiCdrs, OcpiSite
from backend_client.ocpi_session import OcpiSession
from backend_client.oicp_authoriser import OicpAuthoriser
from backend_client.oicp_cdrs import OicpCdrs
from backend_client.oicp_session import OicpSession
from backend_client.opcp import OpcpClient
from backends.guarded_http import LOOPBACK
from backends.operators import connections as places
from backends.operators.connections import Connections, Folder, PoolsPlace
from backends.operators.cpo.authorisation import LocalList
from backends.operators.cpo.cpo import RunningCpo, serve_cpo
from backends.operators.cpo.ocpi_platform import MoLink, OcpiSettings
from backends.operators.cpo.settings import CpoSettings, Listener
from backends.operators.cpo.tables import prepare as prepare_cpo
from backends.operators.hub.serve import RunningHub, serve_hub
from backends.operators.hub.settings import HubOperator, HubProvider, HubSettings
from backends.operators.hub.tables import prepare as prepare_hub
from backends.operators.mo import customers
from backends.operators.mo.serve import RunningMo, serve_mo
from backends.operators.mo.tables import prepare as prepare_mo
from backends.operators.ocpi_server import OcpiPartner
from backends.operators.oem.serve import RunningOem, serve_oem
from backends.operators.oem.settings import OemSettings
from backends.operators.oem.tables import prepare as prepare_oem
from backends.operators.office import accounts, add_driver, mo_settings, mo_staff, pools_client
from backends.store.database import Database
from ports.authorisation import AuthorisationStatus, Authoriser
from ports.charge_detail import ChargeDetailSink
from ports.clock import Clock
from ports.errors import PlugbenchError, RigError
from ports.trace import Tracer, no_trace

ACTORS = ("cpo", "mo", "oem", "hub")


@dataclass(frozen=True, slots=True)
class OperatorsPlan:
    """actors: of ACTORS; () = all that can be, the OEM only with pools. host, port: of a first start (`demo`).

    pools_url, clients_file: of pools that run elsewhere, "" and None = as last time.
    """

    folder: Path
    actors: Sequence[str] = ()
    host: str = "127.0.0.1"
    port: int = places.FIRST_PORT
    pools_url: str = ""
    clients_file: Path | None = None


@dataclass(slots=True)
class RunningOperators:
    """What runs; None = that one does not."""

    folder: Folder
    connections: Connections
    cpo: RunningCpo | None = None
    mo: RunningMo | None = None
    oem: RunningOem | None = None
    hub: RunningHub | None = None


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What every actor is made with."""

    folder: Folder
    connections: Connections
    clock: Clock
    tracer: Tracer
    random: Random
    stack: AsyncExitStack


@asynccontextmanager
async def operators_up(
    plan: OperatorsPlan, clock: Clock, tracer: Tracer = no_trace, random: Random | None = None
) -> AsyncIterator[RunningOperators]:
    """Serve until the end of the context. random: of ids and pauses. Raises RigError, StoreError, PeerError."""
    if unknown := sorted(set(plan.actors) - set(ACTORS)):
        raise RigError(f"no operator {', '.join(unknown)}; there are {', '.join(ACTORS)}")
    random = random or SystemRandom()
    folder = Folder(plan.folder)
    connections = await set_up(plan, folder, clock, random)
    actors = plan.actors or [one for one in ACTORS if one != "oem" or connections.pools]
    async with AsyncExitStack() as stack:
        around = _Surroundings(folder, connections, clock, tracer, random, stack)
        running = RunningOperators(folder, connections)
        if "mo" in actors:
            running.mo = await _mo(around)
        if "hub" in actors:
            running.hub = await _hub(around)
        if "cpo" in actors:
            running.cpo = await _cpo(around)
        if "oem" in actors:
            running.oem = await _oem(around)
        yield running


async def set_up(plan: OperatorsPlan, folder: Folder, clock: Clock, random: Random) -> Connections:
    """Make what is missing, remember the pools. Raises RigError."""
    if bool(plan.pools_url) != (plan.clients_file is not None):
        raise RigError("pools: expected both their URL and the file of their clients")
    with folder.alone():
        connections = folder.load()
        is_new = connections is None
        connections = connections or places.demo(folder, plan.host, plan.port)
        if plan.clients_file is not None:
            connections.pools = PoolsPlace(url=plan.pools_url, clients_file=str(plan.clients_file.resolve()))
        if is_new:
            await _demo_customer(folder, connections, clock, random)
        if is_new or plan.clients_file is not None:
            folder.save(connections)
    return connections


async def _demo_customer(folder: Folder, connections: Connections, clock: Clock, random: Random) -> None:
    secret = folder.credential(folder.make_secret(f"customer-{places.CUSTOMER}.secret")).read()
    async with mo_staff(folder, connections, clock, random) as staff:
        found = await staff.database.read(lambda connection: customers.holder(connection, places.EMAID))
        if found is None:
            await add_driver(staff, clock, places.CUSTOMER, secret, places.EMAID, [places.CARD])


async def _mo(around: _Surroundings) -> RunningMo:
    database = Database(around.folder.database("mo"), around.clock, prepare_mo)
    around.stack.push_async_callback(database.close)
    settings = mo_settings(around.folder, around.connections, around.clock)
    running = await serve_mo(settings, database, around.clock, around.tracer, around.random)
    around.stack.push_async_callback(running.close)
    return running


async def _hub(around: _Surroundings) -> RunningHub:
    database = Database(around.folder.database("hub"), around.clock, prepare_hub)
    around.stack.push_async_callback(database.close)
    host, port = places.address(around.connections.hub.url)
    mo = around.connections.mo
    settings = HubSettings(
        providers=[HubProvider(id=f"{mo.party[:2]}-{mo.party[2:]}", url=mo.url)],
        operators=[HubOperator(id=_oicp_id(around.connections))],
        host=host,
        port=port,
    )
    running = await serve_hub(settings, database, around.clock, around.tracer, around.random)
    around.stack.push_async_callback(running.close)
    return running


async def _cpo(around: _Surroundings) -> RunningCpo:
    folder, place = around.folder, around.connections.cpo
    host, port = places.address(place.stations_url)
    api_host, api_port = places.address(place.api_url)
    link, sink = _mo_link(around)
    authorisers: dict[str, Authoriser] = {"mo": link.authoriser}
    sinks: dict[str, ChargeDetailSink] = {"mo": sink}
    if "hub" in place.bills_to:
        hub = OicpSession(around.connections.hub.url)
        around.stack.push_async_callback(hub.close)
        asks = OicpAuthoriser(
            hub, _oicp_id(around.connections), around.clock.now, "hub", file=folder.path / "hub-sessions.json"
        )
        authorisers["hub"], sinks["hub"] = asks, OicpCdrs(hub, _oicp_id(around.connections), asks.session_of)
    if unknown := sorted(set(place.bills_to) - set(sinks)):
        raise RigError(f"{folder.path / places.FILE}: cpo.bills_to: no {', '.join(unknown)}; there are mo and hub")
    database = Database(folder.database("cpo"), around.clock, prepare_cpo)
    around.stack.push_async_callback(database.close)
    ocpi_host, ocpi_port = places.address(place.ocpi_url)
    operator = places.party(place.party)
    running = await serve_cpo(
        CpoSettings(
            stations=accounts(folder, around.connections),
            listeners=(Listener(host, port),),
            networks=LOOPBACK if around.connections.pools else (),
            api_host=api_host,
            api_port=api_port,
            api_token=folder.credential(place.api_token_file).read(),
        ),
        database,
        around.clock,
        authorisers=[
            *(authorisers[one] for one in place.bills_to),
            LocalList({card.upper(): AuthorisationStatus.ACCEPTED for card in place.cards}),
        ],
        contracts=_pools(around, "cpo") if around.connections.pools else None,
        sinks={one: sinks[one] for one in place.bills_to},
        ocpi=OcpiSettings(operator=operator, site=SITE, links=[link], host=ocpi_host, port=ocpi_port),
        tracer=around.tracer,
        random=around.random,
    )
    around.stack.push_async_callback(running.close)
    return running


def _mo_link(around: _Surroundings) -> tuple[MoLink, OcpiCdrs]:
    mo, operator = around.connections.mo, places.party(around.connections.cpo.party)
    shown = around.folder.credential(mo.cpo_token_file)
    session = OcpiSession(f"{mo.url}/ocpi/versions", shown, around.random)
    around.stack.push_async_callback(session.close)
    authoriser = OcpiAuthoriser(session, SITE.location_id, "mo")
    incoming = around.folder.credential(mo.own_token_file)
    partner = OcpiPartner(party=places.party(mo.party), incoming=incoming, outgoing=shown)
    sink = OcpiCdrs(session, operator, SITE, around.clock.now, authoriser.info)
    return MoLink(partner=partner, session=session, sink="mo", authoriser=authoriser), sink


async def _oem(around: _Surroundings) -> RunningOem:
    pools = _pools(around, "oem")
    database = Database(around.folder.database("oem"), around.clock, prepare_oem)
    around.stack.push_async_callback(database.close)
    place = around.connections.oem
    host, port = places.address(place.url)
    settings = OemSettings(host=host, port=port, webhooks=place.webhooks)
    try:
        running = await serve_oem(settings, database, around.clock, pools, around.tracer, around.random)
    except PlugbenchError as error:
        if place.webhooks:
            error.add_note("pools that refuse webhooks to this machine: start them with --allow-loopback, or say")
            error.add_note(f'"webhooks": false of the oem in {around.folder.path / places.FILE}')
        raise
    around.stack.push_async_callback(running.close)
    if await running.vehicle(places.PCID) is None:
        around.folder.replace_secret(f"vehicle-{places.PCID}.token", await running.add_vehicle(places.PCID))
    return running


def _pools(around: _Surroundings, client_id: str) -> OpcpClient:
    client = pools_client(around.folder, around.connections, client_id, around.clock)
    around.stack.push_async_callback(client.close)
    return client


def _oicp_id(connections: Connections) -> str:
    return f"{connections.cpo.party[:2]}*{connections.cpo.party[2:]}"


SITE = OcpiSite(
    location_id="PLUGBENCH",
    address="Test bench",
    city="Berlin",
    postal_code="10115",
    country="DEU",
    latitude="52.520000",
    longitude="13.405000",
)
