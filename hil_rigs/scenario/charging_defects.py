"""Defects of the charging loop, of timers and of what several connectors share. See `defects`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace as replace_fields
from typing import Any

from firmware_sim.charger.dc_supply import SimulatedDcSupply
from gateway.secc.service import SeccService
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Undo
from hil_rigs.scenario.seed import Seed, Values, patched, replace
from ports.dc_supply import Isolation
from ports.errors import RigError
from v2g.session.dc_vehicle import DcVehicle
from v2g.session.evcc import Evcc


def _patient_vehicle(_bench: Breakable, _values: Values) -> Undo:
    undo = patched(Evcc, "limit", lambda *_arguments: None), patched(Evcc, "_timeout", lambda *_arguments: 1e9)

    def both() -> None:
        for one in undo:
            one()

    return both


def _good_insulation(_bench: Breakable, _values: Values) -> Undo:
    return patched(SimulatedDcSupply, "_isolation", lambda _stage: Isolation.VALID)


def _keeps_its_offer(_bench: Breakable, _values: Values) -> Undo:
    return patched(SeccService, "renegotiate", lambda *_arguments: None)


def _long_ids(_bench: Breakable, _values: Values) -> Undo:
    """As a vehicle that keeps an id in eight octets, whatever it was."""
    plain = DcVehicle.header

    def header(self: Any) -> Any:
        made = plain(self)
        if self.evcc.session_id:
            made.SessionID = made.SessionID.rjust(8, b"\0")
        return made

    return patched(DcVehicle, "header", header)


def _takes_no_staple(bench: Breakable, _values: Values) -> None:
    for vehicle in bench.bench.vehicles.values():
        if vehicle.setup.tls is not None:
            vehicle.setup = replace_fields(vehicle.setup, tls=replace_fields(vehicle.setup.tls, require_staple=False))


def _swapped_meters(bench: Breakable, _values: Values) -> None:
    connectors = list(bench.bench.controller.by_name.values())
    if len(connectors) != 2:
        raise RigError(f"gateway.swaps_meters needs two connectors, the rig has {len(connectors)}")
    first, second = (connector.reader.read for connector in connectors)
    replace(connectors[0], "reader", read=second)
    replace(connectors[1], "reader", read=first)


def _leaks(bench: Breakable, _values: Values) -> Undo:
    """One descriptor for each signed record."""
    leaked: list[int] = []
    bench.bench.journal.subscribe(lambda _entry: leaked.append(os.open(os.devnull, os.O_RDONLY)))

    def undo() -> None:
        for descriptor in leaked:
            os.close(descriptor)

    return undo


CHARGING_DEFECTS: Mapping[str, Seed] = {
    "evcc.waits_for_ever": Seed("the vehicle has no timers but those between its requests", _patient_vehicle),
    "evcc.long_session_ids": Seed("the vehicle sends eight octets of session id, whatever it was given", _long_ids),
    "evcc.takes_no_staple": Seed("the vehicle does not miss the OCSP response that it wants", _takes_no_staple),
    "board.good_insulation": Seed("the isolation monitor finds nothing wrong, whatever there is", _good_insulation),
    "secc.keeps_its_offer": Seed("a changed offer is not negotiated", _keeps_its_offer),
    "gateway.swaps_meters": Seed("each of two connectors reads the other's meter", _swapped_meters),
    "gateway.leaks_descriptors": Seed("a file stays open for each record", _leaks),
}
