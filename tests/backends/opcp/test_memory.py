"""Requests leave nothing behind in the server but what is kept on purpose, in caches with a size."""

from __future__ import annotations

import gc
import sys

import pytest

from backend_client.opcp import OpcpError
from tests.backends.opcp.story import EMAID, PCID, Story

ROUND = 4
MOST = 60  # objects of a request that makes nothing new; a certificate that stayed would be some 300


@pytest.mark.soak
async def test_a_round_of_requests_leaves_nothing_behind(story: Story) -> None:
    vehicle = await story.vehicle()
    data, _ = await story.world.contract("iso2", EMAID, vehicle.issued.stored.certificate)
    exi = vehicle.request([story.world.root_id("iso2")])

    async def live() -> int:
        for _ in range(ROUND):
            await story.mo.sign_contract(data, pcid=PCID)
            await story.cpo.request_contract(exi)
            await story.mo.vehicle(PCID)
            await story.mo.lookup_contract(EMAID)
            await story.mo.delete_contract(EMAID)
            with pytest.raises(OpcpError, match="404"):
                await story.mo.delete_contract(EMAID)
        await story.world.deliveries()
        story.world.outside.sent.clear()
        gc.collect()
        return len(gc.get_objects())

    for _ in range(3):
        await live()  # caches and tables fill
    before, after = await live(), await live()
    sys.stdout.write(f"{before} objects, then {after}\n")
    assert after - before < MOST
