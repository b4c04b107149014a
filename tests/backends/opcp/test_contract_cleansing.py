"""The daily cleansing reads the chain of a contract out of its message, of both editions."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.access import Role
from backends.pools.cleansing import Cleansed
from backends.pools.editions import ISO2, ISO20
from tests.backends.ecosystem import ecosystem
from tests.postgres import as_it_is

PCID, EMAID = "PLBPROVCERT000042", "DEPLBC00000042"


@pytest.mark.parametrize(
    ("preset", "namespace", "revoked"),
    [
        ("iso2-strict", ISO2, "mo-sub1"),
        ("iso20-strict", ISO20, "contract"),
        pytest.param("iso2-strict", ISO2, "mo-sub2", marks=pytest.mark.soak),
        pytest.param("iso2-strict", ISO2, "contract", marks=pytest.mark.soak),
        pytest.param("iso20-strict", ISO20, "mo-sub1", marks=pytest.mark.soak),
        pytest.param("iso20-strict", ISO20, "mo-sub2", marks=pytest.mark.soak),
    ],
)
async def test_a_contract_goes_when_anything_of_its_chain_is_revoked(
    sqlite_url: str, tmp_path: Path, preset: str, namespace: str, revoked: str
) -> None:
    async with ecosystem(sqlite_url, tmp_path, as_it_is) as world:
        await world.add_pki("realm", preset)
        oem = await world.client("oem", Role.OEM, wmis=["PLB"])
        mo = await world.client("mo", Role.MO_OWN_PKI, provider_ids=["DEPLB"])
        vehicle = await world.vehicle("realm", PCID, namespace=namespace)
        await world.publish(oem, vehicle)
        data, _ = await world.contract("realm", EMAID, vehicle.issued.stored.certificate, pcid=PCID)
        await mo.sign_contract(data, pcid=PCID, namespace=namespace)
        assert await world.services.cleansing.cleanse() == Cleansed()
        wanted = EMAID if revoked == "contract" else world.pki["realm"][revoked].stored.fingerprint
        chosen = await world.authorities.find(wanted)
        await world.authorities.revoke(chosen.stored.fingerprint, actor="test")
        assert await world.services.cleansing.cleanse() == Cleansed(contracts=1)
        assert await world.services.cleansing.cleanse() == Cleansed()
        assert await mo.has_vehicle(PCID)
