"""What a vehicle pays with, and what it does about its contract first: decided once for each session."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
from firmware_sim.vehicle.stored_contract import StoredContract
from ports.errors import RigError
from v2g.session.vehicle_side import ContractCredentials

CONTRACT = "Contract"
EXTERNAL_PAYMENT = "ExternalPayment"
INSTALL = "install"
UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Choice:
    """payment, contract, action: see `v2g.session.vehicle_side.VehicleSide`. why: for people."""

    payment: str
    contract: ContractCredentials | None = field(default=None, repr=False)
    action: str = ""
    why: str = ""


def choose(setup: EvccSetup, plan: Plan, at: datetime, *, failed: str = "") -> Choice:
    """failed: why the last installation or update came to nothing; then nothing is installed, and what there is pays.

    Raises RigError: no way to pay, or the plan orders what the vehicle cannot do.
    """
    stored = None if setup.contract is not None else setup.store.choose(at, setup.emaid)
    contract = setup.contract if stored is None else stored.credentials
    if setup.payment != CONTRACT:
        return Choice(EXTERNAL_PAYMENT, contract)
    action, why = ("", failed) if failed else _action(setup, plan, stored, contract, at)
    if contract is not None or action:
        return Choice(CONTRACT, contract, action, why)
    why = why or _nothing_valid(setup, at)
    if setup.fallback:
        return Choice(EXTERNAL_PAYMENT, None, "", why)
    raise RigError(f"the vehicle pays by contract only: {why}")


def _action(
    setup: EvccSetup, plan: Plan, stored: StoredContract | None, contract: ContractCredentials | None, at: datetime
) -> tuple[str, str]:
    provisioned = setup.provisioning is not None or setup.store.provisioning is not None
    ordered = plan.certificate_action
    if ordered == INSTALL and not provisioned:
        raise RigError("the plan orders to install a contract, and the vehicle has no provisioning certificate")
    if ordered == UPDATE and contract is None:
        raise RigError(f"the plan orders to update the contract: {_nothing_valid(setup, at)}")
    if ordered is not None:
        return ordered, "the plan orders it" if ordered else ""
    if contract is None:
        return (INSTALL, _nothing_valid(setup, at)) if provisioned else ("", "")
    if stored is not None and stored.not_after - at < timedelta(seconds=setup.update_before_s):
        return UPDATE, f"contract {stored.emaid} ends {stored.not_after:%Y-%m-%d %H:%M:%S}"
    return "", ""


def _nothing_valid(setup: EvccSetup, at: datetime) -> str:
    ends = [
        f"{one.emaid} is valid {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d}" for one in setup.store.contracts
    ]
    return f"no contract is valid at {at:%Y-%m-%d %H:%M:%S}: {', '.join(ends) or 'there is none'}"
