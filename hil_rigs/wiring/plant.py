"""The simulated cable ends of a rig: boards, vehicles and the electrical plant between them."""

from __future__ import annotations

from firmware_sim.branch import BranchSettings
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.mains import MainsSettings
from firmware_sim.vehicle.settings import VehicleSettings
from hil_rigs.resources import ChargerResource, VehicleResource
from hil_rigs.rig import Rig
from ports.clock import Clock
from ports.dc_supply import DcRating
from ports.trace import Tracer


def build_plant(rig: Rig, clock: Clock, tracer: Tracer) -> Circuit:
    """A plant with one outlet per connector and every vehicle of the rig, not plugged in; still to be started."""
    boards = {connector.id: rig.resources[connector.board] for connector in rig.gateway.connectors}
    chargers = {name: board for name, board in boards.items() if isinstance(board, ChargerResource)}
    first = next(iter(chargers.values()))
    circuit = Circuit(
        clock,
        mains=MainsSettings(nominal_v=first.voltage_v, frequency_hz=first.frequency_hz),
        seed=rig.seed,
        tracer=tracer,
    )
    for name, board in chargers.items():
        if board.energy == "dc":  # the cable is fixed to the station
            settings = ChargerSettings(phases=board.phases, tethered=True)
            circuit.add_connector(name, settings, BranchSettings(), _rating(board))
        else:
            settings = ChargerSettings(max_a=board.max_current_a, phases=board.phases, ventilated=board.ventilated)
            circuit.add_connector(name, settings, BranchSettings())
    for name, resource in rig.resources.items():
        if isinstance(resource, VehicleResource):
            circuit.add_vehicle(
                name,
                VehicleSettings(
                    capacity_wh=round(resource.battery_kwh * 1000),
                    soc=resource.soc,
                    max_a=resource.max_current_a,
                    phases=resource.phases,
                    dc_max_a=resource.dc_max_current_a,
                    cable_a=resource.cable_a or (63 if resource.max_current_a > 32 else 32),
                ),
            )
    return circuit


def _rating(board: ChargerResource) -> DcRating:
    return DcRating(
        max_voltage_v=board.dc_voltage_v,
        min_voltage_v=min(150.0, board.dc_voltage_v),
        max_current_a=board.max_current_a,
        max_power_w=board.dc_power_kw * 1000,
    )
