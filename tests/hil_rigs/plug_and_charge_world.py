"""A rig of Plug & Charge in virtual time whose sessions tests break one by one; each is followed by a good one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hil_rigs.bench import Bench, open_bench
from hil_rigs.bill_check import CheckedBill, bills_delivered, check_bills
from hil_rigs.hooks import Hooks
from hil_rigs.http_faults import HttpFaults
from hil_rigs.rig import Session
from hil_rigs.rig_file import rig_of_text
from hil_rigs.run import delivered
from hil_rigs.run_check import TransactionCheck, check_transaction
from hil_rigs.session_run import SessionResult, run_session
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.keys import decode_public_key
from ports.trace import TraceEvent

BETWEEN_S = 5.0  # nobody plugs in faster
START = datetime.fromisoformat("2026-11-20T08:00:00+01:00")


@dataclass
class Seen:
    """What came of one session. events: since its beginning. records, bill: where the case looked at them."""

    result: SessionResult
    events: list[TraceEvent]
    records: TransactionCheck | None = None
    bill: CheckedBill | None = None

    @property
    def refused(self) -> list[str]:
        """What the station refused, with its code: "PaymentDetailsReq FAILED_CertChainError"."""
        return [
            f"{event.data['name']} {event.data['code']}"
            for event in self.events
            if event.kind == "v2g.Refused" and event.data["role"] == "SECC"
        ]

    def data(self, kind: str, key: str) -> list[Any]:
        """One field of all events of a kind."""
        return [event.data.get(key) for event in self.events if event.kind == kind]

    def calls(self, action: str) -> list[list[Any]]:
        """OCPP calls of the station."""
        messages: list[Any] = self.data("ocpp.sent", "message")
        return [one for one in messages if one[0] == 2 and one[2] == action]

    @property
    def charged(self) -> bool:
        """Whether a transaction began and the contactor closed."""
        return bool(self.result.transaction_id) and True in self.data("power.contactor", "closed")


@dataclass
class World:
    """A bench, everything that happened on it, and what breaks it."""

    bench: Bench
    clock: VirtualClock
    pools: HttpFaults
    csms: Any
    events: list[TraceEvent]
    folder: Path

    async def charge(self, vehicle: str, **session: Any) -> Seen:
        """One session, to its end."""
        begun = len(self.events)
        wanted = {"identification": "DEPLBC00000001", "charge_for_s": 3.0, **session}
        result = await run_session(self.bench, Session(connector="1", vehicle=vehicle, **wanted))
        return Seen(result, self.events[begun:])

    async def bill_of(self, seen: Seen) -> tuple[TransactionCheck, CheckedBill]:
        """The session's records at the CPO, verified, and its bill, once everything has been delivered."""
        await self.bench.forwarder.drained()
        await bills_delivered(self.bench)
        records = await delivered(self.bench)
        own = [one for one in records if one.transaction_id == seen.result.transaction_id]
        key = decode_public_key((await self.bench.signer.identity()).public_key)
        checked = check_transaction(seen.result.transaction_id, own, key)
        (bill,) = await check_bills(self.bench, [(seen.result, checked.kwh)], records)
        return checked, bill

    def forget_contract(self, vehicle: str, emaid: str) -> None:
        """The vehicle has only its provisioning certificate again."""
        self.bench.vehicles[vehicle].setup.store.remove_contract(emaid)


Case = Callable[[World], Awaitable[Seen]]


@dataclass
class Outcome:
    """Of a broken session, and of the good one after it. error: what the case itself raised."""

    broken: Seen | None = None
    good: Seen | None = None
    error: BaseException | None = field(default=None)


@asynccontextmanager
async def world(text: str, folder: Path, clock: VirtualClock) -> Any:
    """A rig up. text: of its file."""
    from backends.operators.cpo.faults import FaultPlan

    events: list[TraceEvent] = []
    pools, csms = HttpFaults(clock=clock), FaultPlan()
    rig = rig_of_text(folder / "rig.yaml", text)
    hooks = Hooks(pools=pools.before, csms=csms)
    async with open_bench(rig, clock, folder, events.append, lambda _text: None, hooks) as bench:
        yield World(bench, clock, pools, csms, events, folder)


def play(text: str, cases: Mapping[str, Case], folder: Path, good: str = "ev") -> dict[str, Outcome]:
    """Every case on one bench, each followed by a good session of the vehicle `good`."""
    folder.mkdir(parents=True)

    async def main(clock: VirtualClock) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        async with world(text, folder, clock) as one:
            for name, case in cases.items():
                outcomes[name] = Outcome()
                try:
                    outcomes[name].broken = await case(one)
                except Exception as error:  # noqa: BLE001 - the test of this case tells, the others go on
                    outcomes[name].error = error
                one.pools.rules.clear()
                one.csms.rules.clear()
                await clock.sleep(BETWEEN_S)
                outcomes[name].good = await one.charge(good)
                await clock.sleep(BETWEEN_S)
        return outcomes

    return run_virtual(main, start=START, seed=17)
