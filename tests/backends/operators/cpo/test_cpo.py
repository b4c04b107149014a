"""A CPO and a bare station over a real socket."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from hil_rigs.virtual_clock import VirtualClock
from ports.charge_detail import Nature
from tests.backends.operators.cpo.parts import accepting, event, running_cpo, station, virtual
from tests.backends.signed_records import RecordMaker

TOKEN = {"idToken": "04A1B2C3", "type": "ISO14443"}


@virtual
async def test_a_session_becomes_one_charge_detail(tmp_path: Path, clock: VirtualClock) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()
    async with running_cpo(tmp_path, clock, authorisers=[accepting("04A1B2C3")]) as cpo:
        await cpo.register(maker)
        async with station(cpo.running) as wire:
            boot = await wire.ask(
                "BootNotification",
                {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
            )
            assert boot[:2] == [3, "m1"]
            assert boot[2] == {"currentTime": "2026-01-01T12:00:00.000Z", "interval": 300, "status": "Accepted"}
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[2] == {"idTokenInfo": {"status": "Accepted"}}
            first = await wire.ask("TransactionEvent", event("Started", 0, [begin], idToken=TOKEN))
            assert first[2] == {"idTokenInfo": {"status": "Accepted"}}
            await wire.ask("TransactionEvent", event("Updated", 1, [between]))
            await wire.ask("TransactionEvent", event("Ended", 2, [end]))
            assert await cpo.state("t1") == ("billed", [])
        await clock.sleep(1)
        (detail,) = cpo.taker.taken
    assert detail.energy_kwh == Decimal("3.500")
    assert [value.nature for value in detail.values] == [Nature.START, Nature.INTERMEDIATE, Nature.END]
    assert [value.ocmf for value in detail.values] == [begin.ocmf, between.ocmf, end.ocmf]
    assert detail.public_key == maker.public_key
    assert detail.user_id == "04A1B2C3"
