"""What a simulated vehicle is."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.pilot import R_B_OHM, R_C_OHM, R_D_OHM
from firmware_sim.proximity import NOMINAL_OHM
from ports.errors import LocalError

# name, lowest, highest, unit
LIMITS: tuple[tuple[str, float, float, str], ...] = (
    ("capacity_wh", 1, 10_000_000, "Wh"),
    ("soc", 0, 100, "%"),
    ("max_a", 0, 80, "A"),
    ("phases", 1, 3, ""),
    ("dc_max_a", 1, 1000, "A"),
    ("dc_empty_v", 50, 1500, "V"),
    ("dc_full_v", 50, 1500, "V"),
    ("efficiency_permille", 1, 1000, "permille"),
    ("taper_from", 1, 100, "%"),
    ("ready_after_s", 0, 3600, "s"),
    ("draw_after_s", 0, 3600, "s"),
    ("adapt_after_s", 0, 3600, "s"),
    ("stop_after_s", 0, 3600, "s"),
    ("open_after_s", 0, 3600, "s"),
    ("r_b_ohm", 1, 1e6, "ohm"),
    ("r_c_ohm", 1, 1e6, "ohm"),
    ("r_d_ohm", 1, 1e6, "ohm"),
)


@dataclass(frozen=True, slots=True)
class VehicleSettings:
    """capacity_wh, soc (per cent at the start), max_a per phase, phases: battery and on-board charger.

    dc_max_a, dc_empty_v, dc_full_v: battery at a DC station: its highest current, its voltage at 0 and at 100 per cent.
    efficiency_permille: what of the energy at the inlet reaches the battery. taper_from: per cent from which the
    current falls, in steps of one per cent. cable_a: its cable's rating by proximity. Times in seconds:
    ready_after_s from a valid offer to S2, draw_after_s from mains to current, adapt_after_s from a new duty to the new
    current (at most 5), stop_after_s from losing the offer to no current (at most 3), open_after_s from there to S2.
    Longer ones are allowed: they make a vehicle that breaks the rules. Raises LocalError for values that none has.
    """

    capacity_wh: int = 60_000
    soc: float = 30.0
    max_a: float = 16.0
    phases: int = 3
    dc_max_a: float = 125.0
    dc_empty_v: float = 330.0
    dc_full_v: float = 410.0
    efficiency_permille: int = 900
    taper_from: int = 90
    ready_after_s: float = 1.0
    draw_after_s: float = 0.5
    adapt_after_s: float = 1.0
    stop_after_s: float = 1.0
    open_after_s: float = 0.1
    needs_ventilation: bool = False
    cable_a: int = 32
    r_b_ohm: float = R_B_OHM
    r_c_ohm: float = R_C_OHM
    r_d_ohm: float = R_D_OHM

    def __post_init__(self) -> None:
        for name, low, high, unit in LIMITS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise LocalError(f"vehicle: {name} is {value}, not between {low:g} and {high:g} {unit}".rstrip())
        if self.cable_a not in NOMINAL_OHM:
            known = ", ".join(map(str, sorted(NOMINAL_OHM)))
            raise LocalError(f"vehicle: cable_a is {self.cable_a}, not one of {known}")
