"""Scripted wishes: what a vehicle does when nobody sits at the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc
from ports.errors import LocalError

if TYPE_CHECKING:
    from firmware_sim.vehicle.simulated import Outlet, SimulatedVehicle

# word of the script: what it does with its value
ACTIONS: dict[str, Callable[[SimulatedVehicle, Outlet, Any], None]] = {
    "plug": lambda vehicle, outlet, _value: vehicle.plug_in(outlet),
    "unplug": lambda vehicle, _outlet, _value: vehicle.unplug(),
    "charge_to_soc": lambda vehicle, _outlet, value: vehicle.want(ToSoc(float(value))),
    "charge_wh": lambda vehicle, _outlet, value: vehicle.want(Energy(Decimal(str(value)))),
    "charge_seconds": lambda vehicle, _outlet, value: vehicle.want(Seconds(float(value))),
    "stop": lambda vehicle, _outlet, _value: vehicle.stop(),
    "toggle": lambda vehicle, _outlet, value: vehicle.toggle(**(value if isinstance(value, Mapping) else {})),
}


@dataclass(frozen=True, slots=True)
class Step:
    """At `at_s` seconds after the start of the script do `action` (a word of `ACTIONS`) with `value`."""

    at_s: float
    action: str
    value: object = field(default=None)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise LocalError(f"a vehicle cannot {self.action!r}: it can {', '.join(ACTIONS)}")

    def bind(self, vehicle: SimulatedVehicle, outlet: Outlet) -> Callable[[], None]:
        """The step as a call."""
        return lambda: ACTIONS[self.action](vehicle, outlet, self.value)
