"""Operators of one folder, alone and together, in virtual time; a station that we did not write charges."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends.operators import connections as places
from backends.operators.connections import FILE, Folder
from backends.operators.mo.customers import CustomerError
from backends.operators.office import add_customer, add_key, add_station
from backends.operators.up import OperatorsPlan, RunningOperators, operators_up
from hil_rigs.virtual_clock import VirtualClock
from ports.errors import RigError
from tests.backends.operators.cpo.parts import virtual
from tests.backends.operators.foreign_station import bills, charge
from tests.backends.operators.sessions import Station

SINCE = datetime.fromisoformat("2025-12-01T00:00:00Z")


def station_of(running: RunningOperators, identity: str = places.STATION) -> dict[str, str]:
    assert running.cpo is not None
    (file,) = [one.password_file for one in running.connections.cpo.stations if one.identity == identity]
    return {"url": f"{running.cpo.url}{identity}", "password_file": str(running.folder.path / file)}


def app_of(running: RunningOperators, login: str = places.CUSTOMER) -> dict[str, str]:
    assert running.mo is not None
    secret = running.folder.path / "secrets" / f"customer-{login}.secret"
    return {"app_url": f"{running.mo.url}/app", "login": login, "secret_file": str(secret)}


@pytest.mark.parametrize("way", ["mo", "hub"])
@virtual
async def test_each_in_a_start_of_its_own(tmp_path: Path, clock: VirtualClock, way: str) -> None:
    """Later ones find their places in the file that the first has made; bills go straight to the MO or by the hub."""
    folder, meter = Folder(tmp_path / "o"), Station(evse=places.EVSE)
    async with operators_up(OperatorsPlan(folder.path, ("mo",)), clock) as mo:
        connections = folder.load()
        assert connections is not None
        connections.cpo.bills_to = [way]
        folder.save(connections)
        await add_station(folder, "CP2", ["DE*PLC*E0002"])
        async with (
            operators_up(OperatorsPlan(folder.path, ("hub",)), clock) as hub,
            operators_up(OperatorsPlan(folder.path, ("cpo",)), clock) as cpo,
        ):
            assert [mo.cpo, mo.hub, cpo.mo, cpo.hub, hub.cpo, hub.mo] == [None] * 6
            card = places.CARD
            assert await charge(station_of(cpo), meter, card) == ["Accepted"] * 3  # its key is not known yet
            await add_key(folder, clock, meter.public_key, meter.gateway, meter.meter, SINCE)
            (bill,) = await bills(app_of(mo))
            assert (bill["energy_kwh"], bill["emaid"]) == ("2.500", places.EMAID)
            await add_customer(folder, clock, "bob", "DEPLBC00000002", ["04BB0001"])
            with pytest.raises(CustomerError, match="is taken"):
                await add_customer(folder, clock, "bob", "DEPLBC00000003", [])
            other = Station(evse="DE*PLC*E0002", gateway="GW2", meter="METER2")
            await add_key(folder, clock, other.public_key, other.gateway, other.meter, SINCE)
            assert await charge(station_of(cpo, "CP2"), other, "04BB0001") == ["Accepted"] * 3
            assert [one["emaid"] for one in await bills(app_of(mo, "bob"))] == ["DEPLBC00000002"]
            assert await charge(station_of(cpo), meter, "04040404") == ["Unknown"] * 3


@virtual
async def test_a_cpo_alone_knows_its_own_cards_and_keeps_bills(tmp_path: Path, clock: VirtualClock) -> None:
    folder, meter = Folder(tmp_path), Station(evse=places.EVSE)
    async with operators_up(OperatorsPlan(tmp_path, ("cpo",)), clock) as cpo:
        assert await charge(station_of(cpo), meter, places.OWN_CARD) == ["Accepted"] * 3
        assert await charge(station_of(cpo), meter, places.CARD) == ["Unknown"] * 3
    await add_key(folder, clock, meter.public_key, meter.gateway, meter.meter, SINCE)  # nobody runs
    async with operators_up(OperatorsPlan(tmp_path), clock) as both:
        assert both.oem is None  # there are no pools
        assert both.cpo is not None
        url, token = f"{both.cpo.api_url}/v1", folder.credential(both.connections.cpo.api_token_file).read()
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {token}"}) as staff:
            found: dict[str, Any] = {}
            while not found.get("charge_details") or any(
                delivery["state"] == "waiting" for one in found["charge_details"] for delivery in one["deliveries"]
            ):
                await asyncio.sleep(1)
                found = (await staff.get(f"{url}/charge-details")).json()
        assert len(found["charge_details"]) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "truncated"),
        ('{"cpo": 1}', r"Expected `object`, got `int` - at `\$.cpo`"),
    ],
)
@virtual
async def test_a_file_that_cannot_be_read(tmp_path: Path, clock: VirtualClock, content: str, told: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RigError, match=told):
        async with operators_up(OperatorsPlan(tmp_path), clock):
            raise AssertionError


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("stations_url", "https://127.0.0.1:1/", "expected http://host:port"),
        ("api_url", "http://127.0.0.1:999999", "expected http://host:port"),
        ("party", "DE*PLC", "expected country code and party id"),
        ("bills_to", ["nobody"], "cpo.bills_to: no nobody"),
        ("api_token_file", "secrets/none", "cannot be read"),
    ],
)
@virtual
async def test_a_place_that_is_none(tmp_path: Path, clock: VirtualClock, place: str, value: Any, told: str) -> None:
    folder = Folder(tmp_path)
    async with operators_up(OperatorsPlan(tmp_path, ("hub",)), clock):
        pass
    connections = folder.load()
    assert connections is not None
    setattr(connections.cpo, place, value)
    folder.save(connections)
    with pytest.raises(RigError, match=told):
        async with operators_up(OperatorsPlan(tmp_path, ("cpo",)), clock):
            raise AssertionError
