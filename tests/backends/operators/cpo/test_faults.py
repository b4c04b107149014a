"""What a gateway has to live with, and what the CPO keeps of it: one effect, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from backends.operators.cpo.faults import CsmsFault, CsmsFaultKind, FaultPlan, FaultRule
from backends.operators.cpo.schema import MESSAGES, TRANSACTIONS
from hil_rigs.virtual_clock import VirtualClock
from ocmf.terms import Tx
from tests.backends.operators.cpo.parts import accepting, event, running_cpo, station, virtual
from tests.backends.signed_records import RecordMaker

TOKEN = {"idToken": "04A1B2C3", "type": "ISO14443"}
START_16 = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 0, "timestamp": "2026-01-01T12:00:00Z"}


def plan(kind: CsmsFaultKind, action: str, **more: object) -> FaultPlan:
    return FaultPlan([FaultRule(CsmsFault(kind, **more), action=action)])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [CsmsFaultKind.LOST_ACK, CsmsFaultKind.LOST_CALL])
@virtual
async def test_a_lost_answer_is_found_again(tmp_path: Path, clock: VirtualClock, kind: CsmsFaultKind) -> None:
    begin = RecordMaker().make()
    faults = plan(kind, "TransactionEvent")
    async with running_cpo(tmp_path, clock, faults=faults, authorisers=[accepting("04A1B2C3")]) as cpo:
        async with station(cpo.running) as wire:
            started = event("Started", 0, [begin], idToken=TOKEN)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await wire.ask("TransactionEvent", started, "same")
            assert (await wire.ask("TransactionEvent", {**started, "offline": True}, "same"))[2] == {
                "idTokenInfo": {"status": "Accepted"}
            }
        (message,) = await cpo.rows(MESSAGES)
        assert message["deliveries"] == (2 if kind is CsmsFaultKind.LOST_ACK else 1)
        assert [one[2].kind for one in faults.hit] == [kind]


@virtual
async def test_a_start_of_1_6_that_comes_twice_is_one_transaction(tmp_path: Path, clock: VirtualClock) -> None:
    faults = plan(CsmsFaultKind.DUPLICATE, "StartTransaction")
    async with running_cpo(tmp_path, clock, faults=faults) as cpo, station(cpo.running, "ocpp1.6") as wire:
        first = await wire.ask("StartTransaction", START_16)
        again = await wire.ask("StartTransaction", START_16)  # after a restart the message id is another one
        assert first[2] == again[2] == {"transactionId": first[2]["transactionId"], "idTagInfo": {"status": "Invalid"}}
        other = await wire.ask("StartTransaction", {**START_16, "timestamp": "2026-01-01T13:00:00Z"})
        assert other[2]["transactionId"] != first[2]["transactionId"]
        assert len(await cpo.rows(TRANSACTIONS)) == 2


@virtual
async def test_slow_answers_errors_and_refusals(tmp_path: Path, clock: VirtualClock) -> None:
    faults = FaultPlan(
        [
            FaultRule(CsmsFault(CsmsFaultKind.SLOW, seconds=20), action="Heartbeat", skip=1),
            FaultRule(CsmsFault(CsmsFaultKind.CALL_ERROR, code="GenericError"), action="Authorize"),
            FaultRule(CsmsFault(CsmsFaultKind.REFUSE), times=None, station="CP1", skip=3),
        ]
    )
    async with running_cpo(tmp_path, clock, faults=faults, authorisers=[accepting("04A1B2C3")]) as cpo:
        async with station(cpo.running) as wire:
            began = clock.monotonic()
            await wire.ask("Heartbeat", {})
            assert clock.monotonic() - began < 1
            await wire.ask("Heartbeat", {})
            assert clock.monotonic() - began == pytest.approx(20, abs=1)
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[:1] == [4]
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[2] == {"idTokenInfo": {"status": "Accepted"}}
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[2] == {"idTokenInfo": {"status": "Accepted"}}
            boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
            assert (await wire.ask("BootNotification", boot))[2]["status"] == "Rejected"
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[2] == {"idTokenInfo": {"status": "Invalid"}}
            assert (await wire.ask("Heartbeat", {}))[2] == "GenericError"


@virtual
async def test_a_connection_that_breaks_in_place_of_an_answer(tmp_path: Path, clock: VirtualClock) -> None:
    faults = plan(CsmsFaultKind.DISCONNECT, "TransactionEvent")
    async with running_cpo(tmp_path, clock, faults=faults) as cpo:
        async with station(cpo.running) as wire:
            with pytest.raises(ConnectionClosed):
                await wire.ask("TransactionEvent", event("Started", 0))
        async with station(cpo.running) as wire:
            assert (await wire.ask("TransactionEvent", event("Started", 0)))[:1] == [3]
        (message,) = await cpo.rows(MESSAGES)
        assert message["deliveries"] == 2


@virtual
async def test_six_hours_away_then_everything_once(tmp_path: Path, clock: VirtualClock) -> None:
    """30 readings wait at the station; on its return all come in their order, the first answer of them is lost."""
    maker = RecordMaker()
    records = [maker.make(), *(maker.make(Tx.CHARGING, f"{100 + n / 100:.3f}") for n in range(1, 29))]
    records.append(maker.make(Tx.END, "110.000"))
    faults = FaultPlan(outage=True)
    async with running_cpo(tmp_path, clock, faults=faults) as cpo:
        await cpo.register(maker)
        await clock.sleep(6 * 3600)
        faults.outage = False
        faults.rules.append(FaultRule(CsmsFault(CsmsFaultKind.LOST_ACK), action="TransactionEvent"))
        async with station(cpo.running) as wire:
            for seq_no, record in enumerate(records):
                kind = "Started" if seq_no == 0 else "Ended" if seq_no == len(records) - 1 else "Updated"
                payload = event(kind, seq_no, [record], offline=True)
                try:
                    async with asyncio.timeout(30):
                        await wire.ask("TransactionEvent", payload, f"q{seq_no}")
                except TimeoutError:
                    await wire.ask("TransactionEvent", payload, f"q{seq_no}")
        await clock.sleep(1)
        assert await cpo.state("t1") == ("billed", [])
        deliveries = [row["deliveries"] for row in await cpo.rows(MESSAGES)]
        assert deliveries == [2] + [1] * 29
        assert [row["seq_no"] for row in await cpo.rows(MESSAGES)] == list(range(30))
        assert len(cpo.taker.taken) == 1
