"""What a simulated vehicle is."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.pilot import R_B_OHM, R_C_OHM, R_D_OHM


@dataclass(frozen=True, slots=True)
class VehicleSettings:
    """capacity_wh, soc (per cent at the start), max_a per phase, phases: battery and on-board charger.

    efficiency_permille: what of the energy at the inlet reaches the battery. taper_from: per cent from which the
    current falls, in steps of one per cent. cable_a: its cable's rating by proximity. Times in seconds:
    ready_after_s from a valid offer to S2, draw_after_s from mains to current, adapt_after_s from a new duty to the new
    current (at most 5), stop_after_s from losing the offer to no current (at most 3), open_after_s from there to S2.
    """

    capacity_wh: int = 60_000
    soc: float = 30.0
    max_a: float = 16.0
    phases: int = 3
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
