"""The manufacturer without webhooks: it asks the pools by itself, hour by hour, and outlives their absence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from backend_client.opcp import OpcpClient, OpcpError
from backend_client.opcp_messages import ISO2, ListedContract, Provided, text
from backends.operators.oem import tables
from backends.operators.oem.serve import serve_oem
from backends.operators.oem.settings import OemSettings
from backends.operators.oem.tables import VEHICLES
from backends.store.database import Database
from hil_rigs.virtual_clock import VirtualClock, run_virtual

PCID = "PLBPROVCERT000077"


class Pools:
    """Contracts of one vehicle. away: nobody answers."""

    def __init__(self) -> None:
        self.contracts: list[str] = []
        self.away = False
        self.asked = 0

    async def contracts_of(self, pcid: str, *, namespace: str = ISO2, **_: Any) -> list[ListedContract]:
        self.asked += 1
        if self.away:
            raise OpcpError("GET", 503, ("away",))
        return [ListedContract(emaid=one, pcid=pcid, default_contract=not at) for at, one in enumerate(self.contracts)]

    async def provide_contract(self, emaid: str, pcid: str, **_: Any) -> Provided:
        if self.away:
            raise OpcpError("GET", 503, ("away",))
        return Provided(certificate_installation_res=text(f"{emaid} for {pcid}".encode()))


def test_what_no_webhook_told_is_found_within_the_hour(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        pools = Pools()
        database = Database(f"sqlite:///{tmp_path / 'oem.db'}", clock, tables.prepare)
        client = cast("OpcpClient", pools)
        oem = await serve_oem(OemSettings(webhooks=False, sync_s=3600), database, clock, client)
        await oem.add_vehicle(PCID)
        await database.write(lambda connection: connection.execute(VEHICLES.update().values(certificate=b"x")))

        async def known() -> list[tuple[str, bool, bytes]]:
            return [(one.emaid, one.is_default, one.message) for one in await oem.contracts.of(PCID)]

        pools.contracts = ["DEPLBC00000001", "DEPLBC00000002"]
        await clock.sleep(3500)
        assert await known() == []
        await clock.sleep(200)
        assert await known() == [
            ("DEPLBC00000001", True, b"DEPLBC00000001 for PLBPROVCERT000077"),
            ("DEPLBC00000002", False, b"DEPLBC00000002 for PLBPROVCERT000077"),
        ]
        pools.away, pools.contracts = True, ["DEPLBC00000002"]
        await clock.sleep(6 * 3600)
        assert len(await known()) == 2
        assert pools.asked == 7
        pools.away = False
        await clock.sleep(3600)
        assert [(emaid, default) for emaid, default, _ in await known()] == [("DEPLBC00000002", True)]
        await oem.close()
        await database.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))
