"""The vehicle as its V2G session sees it: `VehicleSide` over battery, wish and plan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from firmware_sim.duty import MIN_A
from firmware_sim.energy_counter import to_wh
from firmware_sim.vehicle.certificate_store import root_ids
from firmware_sim.vehicle.contract_choice import Choice
from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
from firmware_sim.vehicle.simulated import SimulatedVehicle
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import inlet_energy_left
from ports.clock import Clock
from v2g.link.tls_settings import read_certificates
from v2g.session.vehicle_side import (
    CHARGE,
    PAUSE,
    RENEGOTIATE,
    STOP,
    AcDemand,
    ContractCredentials,
    DcDemand,
    ProvisioningCredentials,
)


class EvccSide:
    """One plugging-in of one vehicle; it outlives a pause. choice: what it pays with; set before each session.

    Raises RigError when the files of its roots cannot be read.
    """

    def __init__(self, vehicle: SimulatedVehicle, setup: EvccSetup, plan: Plan, clock: Clock) -> None:
        self.choice = Choice(setup.payment, setup.contract)
        self._roots = _roots(setup)
        self._vehicle = vehicle
        self._setup = setup
        self._plan = plan
        self._clock = clock
        self._began: float | None = None
        self._paused = False
        self._renegotiated = False

    def take_wish(self) -> str:
        """See `VehicleSide`."""
        vehicle, plan = self._vehicle, self._plan
        if vehicle.phase is Phase.CHARGING and self._began is None:
            self._began = self._clock.monotonic()
        if not vehicle.wants_energy:
            return STOP
        charged = 0.0 if self._began is None else self._clock.monotonic() - self._began
        if plan.pause_after_s is not None and not self._paused and charged >= plan.pause_after_s:
            self._paused = True
            return PAUSE
        if plan.renegotiate_after_s is not None and not self._renegotiated and charged >= plan.renegotiate_after_s:
            self._renegotiated = True
            return RENEGOTIATE
        return CHARGE

    @property
    def evcc_id(self) -> bytes:
        return self._setup.evcc_id

    @property
    def protocols(self) -> tuple[str, ...]:
        return self._setup.protocols

    @property
    def payment(self) -> str:
        return self.choice.payment

    @property
    def fallback(self) -> bool:
        return self._setup.fallback

    @property
    def contract(self) -> ContractCredentials | None:
        return self.choice.contract

    @property
    def mode(self) -> str:
        if self._setup.dc:
            return "DC_extended"
        return "AC_three_phase_core" if self._vehicle.settings.phases == 3 else "AC_single_phase_core"

    @property
    def provisioning(self) -> ProvisioningCredentials | None:
        return self._setup.provisioning or self._setup.store.provisioning

    @property
    def certificate_action(self) -> str:
        return self.choice.action

    @property
    def services(self) -> tuple[tuple[int, int | None], ...]:
        return ()

    @property
    def root_ids(self) -> tuple[tuple[str, int], ...]:
        return root_ids(self._roots)

    @property
    def v2g_roots(self) -> Iterable[Any] | None:
        return self._roots or None

    @property
    def civil_time(self) -> datetime | None:
        return self._clock.now()

    @property
    def energy_wh(self) -> float:
        """What the battery still takes at the inlet, or the wish."""
        vehicle = self._vehicle
        wish = vehicle.wish
        left = None if wish is None else inlet_energy_left(wish, vehicle.battery, vehicle.wish_delivered)
        return float(to_wh(vehicle.battery.inlet_energy_to(vehicle.battery.capacity) if left is None else left))

    @property
    def ac(self) -> AcDemand:
        settings = self._vehicle.settings
        return AcDemand(round(self.energy_wh), max_voltage=400.0, max_current=settings.max_a, min_current=MIN_A)

    @property
    def dc(self) -> DcDemand:
        s = self._vehicle.settings
        return DcDemand(
            max_voltage=s.dc_full_v,
            max_current=s.dc_max_a,
            max_power=round(s.dc_full_v * s.dc_max_a),
            energy_capacity=s.capacity_wh,
            energy_request=round(self.energy_wh),
            full_soc=100,
            bulk_soc=min(80, s.taper_from),
        )

    @property
    def departure_time(self) -> int | None:
        return self._setup.departure_s

    @property
    def max_power(self) -> float | None:
        if self._setup.dc:
            return self.dc.max_power
        return None

    @property
    def schedule(self) -> int | None:
        return None

    @property
    def soc(self) -> int:
        return min(int(self._vehicle.soc), 100)

    @property
    def ready(self) -> bool:
        return True

    @property
    def error(self) -> str:
        return "NO_ERROR"

    @property
    def target_voltage(self) -> float:
        return round(self._vehicle.pack_voltage, 1)

    @property
    def target_current(self) -> float:
        return round(self._vehicle.dc_target_a, 1)

    @property
    def complete(self) -> bool:
        return self._vehicle.battery.full

    @property
    def welding_checked(self) -> bool:
        return True


def _roots(setup: EvccSetup) -> tuple[Any, ...]:
    """V2G roots of the store; without any, those that TLS trusts."""
    files = setup.tls.roots if setup.tls is not None else ()
    return setup.store.roots or tuple(root for path in files for root in read_certificates(path))
