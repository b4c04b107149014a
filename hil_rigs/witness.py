"""What has to be seen in a run of Plug & Charge: who got contracts, and who signed receipts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hil_rigs.resources import PoolsResource, VehicleResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from ports.trace import TraceEvent, Tracer

WANTED = {"none": "install", "update_due": "update"}
"""What a vehicle with a contract of this state asks for."""


@dataclass(slots=True)
class Witness:
    """A tracer that hands every event on, and counts.

    contracts: kept by each vehicle. answers: (action, outcome) of the station's requests for contracts. pool: contracts
    that the embedded pools handed out. receipts, bad_receipts: by connector, as the station judged them.
    """

    tracer: Tracer
    contracts: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    pool: int = 0
    receipts: Counter[str] = field(default_factory=Counter)
    bad_receipts: Counter[str] = field(default_factory=Counter)

    def __call__(self, event: TraceEvent) -> None:
        """The next event."""
        self.tracer(event)
        data = event.data
        match event.kind:
            case "evcc.contract" if not data.get("problem"):
                self.contracts[event.source] += 1
            case "secc.certificate":
                self.answers[str(data.get("action")), str(data.get("outcome"))] += 1
            case "pool.request" if data.get("operation") == "contract.request" and data.get("status") == 200:
                self.pool += 1
            case "v2g.ReceiptReceived" if data.get("role") == "SECC":
                self.receipts[event.source.rpartition(".")[0]] += 1
            case "v2g.Refused" if data.get("name") == "MeteringReceiptReq" and data.get("role") == "SECC":
                self.bad_receipts[event.source.rpartition(".")[0]] += 1

    def problems(self, rig: Rig) -> list[str]:
        """What is missing or too much; empty when everything came as the rig wants it."""
        return [*self._contract_problems(rig), *self._receipt_problems(rig)]

    def _contract_problems(self, rig: Rig) -> list[str]:
        problems, wanting = [], 0
        for name in dict.fromkeys(session.vehicle for session in rig.sessions):
            vehicle = rig.resources[name]
            if not isinstance(vehicle, VehicleResource) or vehicle.auth != "pnc":
                continue
            wanted = int(vehicle.contract in WANTED)
            wanting += wanted
            if self.contracts[name] != wanted:
                problems.append(f"{name} got {_times(self.contracts[name], 'a contract')}, expected {wanted}")
        pools = rig.resources.get(rig.gateway.contracts or "")
        served = any(isinstance(one, PoolsResource) and one.url == EMBEDDED for one in rig.resources.values())
        if pools is not None and served and self.pool != wanting:
            problems.append(f"the pools handed out {_times(self.pool, 'a contract')}, expected {wanting}")
        return problems

    def _receipt_problems(self, rig: Rig) -> list[str]:
        if not rig.gateway.receipts:
            return []
        problems = []
        for name in dict.fromkeys(
            session.connector for session in rig.sessions if _pays_by_contract(rig, session.vehicle)
        ):
            if self.bad_receipts[name]:
                problems.append(
                    f"connector {name}: {_times(self.bad_receipts[name], 'a metering receipt')} did not hold"
                )
            elif not self.receipts[name]:
                problems.append(f"connector {name}: no vehicle signed a metering receipt")
        return problems


def _pays_by_contract(rig: Rig, vehicle: str) -> bool:
    found = rig.resources[vehicle]
    return isinstance(found, VehicleResource) and found.auth == "pnc"


def _times(count: int, what: str) -> str:
    return f"{what} {count} times" if count != 1 else f"{what} once"
