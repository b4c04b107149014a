"""What the staff of a folder of operators does: stations, customers, keys. The servers may run meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom

import httpx

from backend_client.opcp import Credentials, OpcpClient
from backends.cpo_receiver import CpoReceiver
from backends.operators.connections import FILE, Connections, Folder, StationPlace, address, party
from backends.operators.cpo.settings import StationAccount, with_password
from backends.operators.cpo.tables import prepare as prepare_cpo
from backends.operators.cpo.transactions import Transactions
from backends.operators.mo.billing import Tariff
from backends.operators.mo.cdrs import CdrReceiver
from backends.operators.mo.publishing import Publisher
from backends.operators.mo.settings import MoSettings
from backends.operators.mo.staff import MoStaff
from backends.operators.mo.tables import prepare as prepare_mo
from backends.operators.ocpi_server import OcpiPartner
from backends.store.database import Database
from ocmf.keys import decode_public_key
from ports.clock import Clock
from ports.errors import PeerError, RigError

YEAR = timedelta(days=365)
API_S = 30.0  # of our own CPO


def mo_settings(folder: Folder, connections: Connections, clock: Clock) -> MoSettings:
    """Of the mobility operator."""
    place, cpo = connections.mo, connections.cpo
    host, port = address(place.url)
    partner = OcpiPartner(
        party=party(cpo.party),
        incoming=folder.credential(place.cpo_token_file),
        outgoing=folder.credential(place.own_token_file),
        versions_url=cpo.ocpi_url,
    )
    tariff = Tariff(
        name="Plugbench",
        valid_from=clock.now() - 10 * YEAR,
        ct_per_kwh=place.ct_per_kwh,
        ct_fixed=place.ct_fixed,
    )
    return MoSettings(party=party(place.party), tariffs=(tariff,), partners=(partner,), host=host, port=port)


@asynccontextmanager
async def mo_staff(folder: Folder, connections: Connections, clock: Clock, random: Random) -> AsyncIterator[MoStaff]:
    """The mobility operator's office: works whether the server runs or not."""
    database = Database(folder.database("mo"), clock, prepare_mo)
    try:
        cdrs = CdrReceiver(database, clock, mo_settings(folder, connections, clock), random)
        yield MoStaff(database, clock, random, cdrs)
    finally:
        await database.close()


async def add_driver(staff: MoStaff, clock: Clock, login: str, secret: str, emaid: str, cards: Sequence[str]) -> None:
    """A customer with an app, a contract for a year, and cards. Raises CustomerError, Refused."""
    now = clock.now()
    customer = await staff.add_customer(login, login.capitalize(), secret)
    await staff.add_contract(customer, emaid, now - timedelta(days=1), now + YEAR)
    for card in cards:
        await staff.add_card(emaid, card)


def accounts(folder: Folder, connections: Connections) -> list[StationAccount]:
    """The stations that may connect. Raises RigError: a password cannot be read."""
    return [
        with_password(one.identity, folder.credential(one.password_file).read(), evse_ids=one.evse_ids)
        for one in connections.cpo.stations
    ]


async def add_station(folder: Folder, identity: str, evse_ids: Sequence[str]) -> Path:
    """A station that may connect after the next start of the CPO; the file of its password. Raises RigError."""
    with folder.alone():
        connections = loaded(folder)
        if any(one.identity == identity for one in connections.cpo.stations):
            raise RigError(f"station {identity} exists")
        if not identity or "/" in identity or ":" in identity or len(identity) > 48:  # OCPP 2.0.1 part 4, 3.1.1
            raise RigError(f"{identity!r}: expected up to 48 characters without : and /")
        file = folder.make_secret(f"station-{identity}.password")
        connections.cpo.stations.append(StationPlace(identity=identity, password_file=file, evse_ids=list(evse_ids)))
        folder.save(connections)
    return folder.path / file


async def add_customer(folder: Folder, clock: Clock, login: str, emaid: str, cards: Sequence[str]) -> Path:
    """A customer of the mobility operator, at once; the file of the app's secret. Raises RigError, CustomerError."""
    if not login.isidentifier():  # it names a file
        raise RigError(f"login {login!r}: expected letters and digits")
    connections = loaded(folder)
    random = SystemRandom()
    async with mo_staff(folder, connections, clock, random) as staff:
        file = folder.make_secret(f"customer-{login}.secret")
        await add_driver(staff, clock, login, folder.credential(file).read(), emaid, cards)
    return folder.path / file


async def add_key(
    folder: Folder, clock: Clock, public_key: str, gateway: str, meter: str, since: datetime | None = None
) -> None:
    """Trust a key (any encoding of the field) at MO and CPO, at once; what waited for it is judged.

    since: from when the MO checks with it, None = a day ago. Raises RigError, PeerError, KeyFormatError.
    """
    connections, public_key = loaded(folder), decode_public_key(public_key).hex()
    async with mo_staff(folder, connections, clock, SystemRandom()) as staff:
        begins = since or clock.now() - timedelta(days=1)
        await staff.register_key(public_key, begins, meter=meter, gateway=gateway)
    if await _told(folder, connections, public_key, gateway, meter):
        return
    database = Database(folder.database("cpo"), clock, prepare_cpo)
    try:
        known = {one.identity: one for one in accounts(folder, connections)}
        transactions = Transactions(
            database,
            CpoReceiver(database, clock),
            clock,
            name="cpo",
            sinks=connections.cpo.bills_to,
            account=lambda station: known.get(station, StationAccount(identity=station)),
            on_billed=lambda: None,  # nobody is there to deliver
        )
        await transactions.register_key(gateway, meter, public_key)
    finally:
        await database.close()


async def _told(folder: Folder, connections: Connections, public_key: str, gateway: str, meter: str) -> bool:
    """The CPO itself, if it runs: it sends at once what waited for the key. Raises PeerError."""
    url = f"{connections.cpo.api_url}/v1/keys"
    token = folder.credential(connections.cpo.api_token_file).read()
    body = {"gateway": gateway, "meter": meter, "public_key": public_key}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=API_S) as client:
            answer = await client.put(url, json=body, headers={"Authorization": f"Bearer {token}"})
    except httpx.ConnectError:
        return False
    except httpx.HTTPError as error:
        raise RigError(f"{url}: no answer: {type(error).__name__}") from error
    if not answer.is_success:
        raise PeerError(f"{url} answered {answer.status_code}: {answer.text[:300]}", answer.content[:2000])
    return True


async def publish(folder: Folder, clock: Clock, emaid: str, pcid: str) -> None:
    """Have the pools make the certificate of a contract for a vehicle. Raises CustomerError, OpcpError, RigError."""
    connections = loaded(folder)
    async with pools_client(folder, connections, "mo", clock) as pools:
        async with mo_staff(folder, connections, clock, SystemRandom()) as staff:
            await Publisher(staff.database, clock, pools).publish(emaid, pcid)


def pools_client(folder: Folder, connections: Connections, client_id: str, clock: Clock) -> OpcpClient:
    """Of the pools; its secret goes from their file into one of its own. Raises RigError."""
    place = connections.pools
    if place is None:
        raise RigError(f"{client_id}: expected the pools' URL and the file of their clients: it works with them")
    try:
        content = json.loads(Path(place.clients_file).read_text(encoding="utf-8"))
        secret = next(one["client_secret"] for one in content["clients"] if one["client_id"] == client_id)
        audience = str(content["audience"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        text = f"{place.clients_file}: no client {client_id} as `plugbench backends up` writes it"
        raise RigError(f"{text} ({type(error).__name__})") from None
    file = folder.replace_secret(f"pools-{client_id}.secret", secret)
    return OpcpClient(place.url, Credentials(client_id, file, audience), clock)


def loaded(folder: Folder) -> Connections:
    """What a first start has made. Raises RigError."""
    connections = folder.load()
    if connections is None:
        raise RigError(f"{folder.path / FILE} is not there: start the operators first")
    return connections
