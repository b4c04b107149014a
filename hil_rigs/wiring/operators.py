"""Mobility operators and hubs of a rig: embedded ones are served by the run, others are only spoken to (OCPI, OICP)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from backend_client.credential import Credential
from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiCdrs, OcpiSite
from backend_client.ocpi_session import OcpiSession, Party
from backend_client.oicp_authoriser import OicpAuthoriser
from backend_client.oicp_cdrs import OicpCdrs
from backend_client.oicp_session import OicpSession
from backends.store.database import Database
from hil_rigs.hooks import Hooks
from hil_rigs.resources import HubResource, MoResource, VehicleResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from hil_rigs.virtual_clock import random_of
from hil_rigs.wiring.secret_file import make_secret
from ports.authorisation import Authoriser
from ports.charge_detail import ChargeDetailSink
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import Tracer

if TYPE_CHECKING:  # imported where it is served
    from backends.operators.cpo.ocpi_platform import MoLink
    from backends.operators.hub.serve import RunningHub
    from backends.operators.mo.serve import RunningMo

CPO = Party("DE", "PLC")
OICP_CPO = "DE*PLC"
SITE = OcpiSite(
    location_id="PLUGBENCH",
    address="Test bench",
    city="Berlin",
    postal_code="10115",
    country="DEU",
    latitude="52.520000",
    longitude="13.405000",
    price_per_kwh=Decimal("0.39"),
)
YEAR = timedelta(days=365)


@dataclass(slots=True)
class Operators:
    """What the CPO knows of others, by resource name. embedded, hubs: mobility operators and hubs of this run.

    links: the embedded mobility operators as a CSMS of this run serves them over OCPI.
    """

    embedded: dict[str, RunningMo] = field(default_factory=dict)
    hubs: dict[str, RunningHub] = field(default_factory=dict)
    links: dict[str, MoLink] = field(default_factory=dict)
    authorisers: dict[str, Authoriser] = field(default_factory=dict)
    sinks: dict[str, ChargeDetailSink] = field(default_factory=dict)


async def build_operators(
    rig: Rig, folder: Path, private: Path, clock: Clock, tracer: Tracer, stack: AsyncExitStack, hooks: Hooks
) -> Operators:
    """Serve the embedded operators, and open the CPO's way to all. What has to be closed is left on `stack`.

    folder: for databases. private: for tokens. Raises RigError.
    """
    operators = Operators()
    for name, resource in rig.resources.items():
        if not isinstance(resource, MoResource):
            continue
        if resource.url == EMBEDDED:
            token = make_secret(private / f"{name}.ocpi-token")
            running = await _serve_mo(name, resource, rig, token, folder, private, clock, tracer, stack, hooks)
            operators.embedded[name] = running
            url = running.versions_url
        elif resource.token_file is not None:
            token, url = Credential(resource.token_file), resource.url
        else:
            raise RigError(f"{name}: expected token_file")
        session = OcpiSession(url, token, random_of(clock, f"{name} requests"), ca_file=resource.ca_file)
        stack.push_async_callback(session.close)
        authoriser = OcpiAuthoriser(session, SITE.location_id, name)
        operators.authorisers[name] = authoriser
        operators.sinks[name] = OcpiCdrs(session, CPO, SITE, clock.now, authoriser.info)
        if name in operators.embedded:
            operators.links[name] = _link(name, resource, token, session, authoriser, private)
    for name, resource in rig.resources.items():  # they know the operators behind them
        if isinstance(resource, HubResource):
            url = resource.url
            if url == EMBEDDED:
                operators.hubs[name] = await _serve_hub(name, rig, operators, folder, clock, tracer, stack)
                url = operators.hubs[name].url
            hub = OicpSession(url, ca_file=resource.ca_file, client_certificate=resource.client_certificate)
            stack.push_async_callback(hub.close)
            asks = OicpAuthoriser(hub, OICP_CPO, clock.now, name)
            operators.authorisers[name] = asks
            operators.sinks[name] = OicpCdrs(hub, OICP_CPO, asks.session_of)
    return operators


def _link(
    name: str, resource: MoResource, token: Credential, session: OcpiSession, authoriser: OcpiAuthoriser, private: Path
) -> MoLink:
    from backends.operators.cpo.ocpi_platform import MoLink
    from backends.operators.ocpi_server import OcpiPartner

    party = Party(resource.provider_id[:2], resource.provider_id[2:])
    partner = OcpiPartner(party=party, incoming=make_secret(_answer_token(private, name)), outgoing=token)
    return MoLink(partner=partner, session=session, sink=name, authoriser=authoriser)


def _answer_token(private: Path, name: str) -> Path:
    """What a mobility operator shows to the CPO."""
    return private / f"{name}.ocpi-answer-token"


async def _serve_hub(
    name: str, rig: Rig, operators: Operators, folder: Path, clock: Clock, tracer: Tracer, stack: AsyncExitStack
) -> RunningHub:
    from backends.operators.hub import tables
    from backends.operators.hub.serve import serve_hub
    from backends.operators.hub.settings import HubOperator, HubProvider, HubSettings

    database = Database(f"sqlite:///{folder / f'{name}.db'}", clock, tables.prepare)
    stack.push_async_callback(database.close)
    providers = [
        HubProvider(id=f"{mo.provider_id[:2]}-{mo.provider_id[2:]}", url=operators.embedded[one].url)
        for one, mo in rig.resources.items()
        if isinstance(mo, MoResource) and one in operators.embedded
    ]
    settings = HubSettings(name=name, providers=providers, operators=(HubOperator(id=OICP_CPO),))
    running = await serve_hub(settings, database, clock, tracer, random_of(clock, name))
    stack.push_async_callback(running.close)
    return running


async def _serve_mo(
    name: str,
    resource: MoResource,
    rig: Rig,
    token: Credential,
    folder: Path,
    private: Path,
    clock: Clock,
    tracer: Tracer,
    stack: AsyncExitStack,
    hooks: Hooks,
) -> RunningMo:
    from backends.operators.mo import tables
    from backends.operators.mo.billing import Tariff
    from backends.operators.mo.serve import serve_mo
    from backends.operators.mo.settings import MoSettings
    from backends.operators.ocpi_server import OcpiPartner

    database = Database(f"sqlite:///{folder / f'{name}.db'}", clock, tables.prepare)
    stack.push_async_callback(database.close)
    partner = OcpiPartner(party=CPO, incoming=token, outgoing=make_secret(_answer_token(private, name)))
    since = clock.now() - YEAR
    tariff = Tariff(name="Plugbench", valid_from=since, ct_per_kwh=Decimal(49), ct_fixed=Decimal(35))
    party = Party(resource.provider_id[:2], resource.provider_id[2:])
    settings = MoSettings(party=party, name=name, tariffs=(tariff,), partners=(partner,))
    running = await serve_mo(settings, database, clock, tracer, random_of(clock, name), faults=hooks.mo)
    stack.push_async_callback(running.close)
    await database.write(lambda connection: _add_customers(connection, rig, resource, clock))
    return running


def _add_customers(connection: sa.Connection, rig: Rig, mo: MoResource, clock: Clock) -> None:
    """One customer for each vehicle with a contract of this operator."""
    from backends.operators.mo.customers import add_contract, add_customer

    now = clock.now()
    begins, ends = int((now - timedelta(days=1)).timestamp()), int((now + YEAR).timestamp())
    for name, vehicle in rig.resources.items():
        if isinstance(vehicle, VehicleResource) and vehicle.auth == "pnc" and vehicle.emaid[:5] == mo.provider_id:
            add_customer(connection, f"c-{vehicle.emaid}", name, f"Driver of {name}", "no login")
            add_contract(connection, f"c-{vehicle.emaid}", vehicle.emaid, begins, ends, int(now.timestamp()))


async def register_at_operators(operators: Operators, key: str, meter: str, gateway: str, clock: Clock) -> None:
    """An embedded mobility operator keeps its own list of public keys: only they decide about bills."""
    from backends.operators.mo.key_database import register_key

    since = clock.now() - timedelta(days=1)
    for running in operators.embedded.values():
        await running.database.write(
            lambda connection: register_key(connection, key, since, meter=meter, gateway=gateway)
        )
