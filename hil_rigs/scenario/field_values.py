"""Fields of events whose values are words of a known list: what is none of them can never be seen.

V2G messages and OCPP frames are not here: their schemas say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firmware_sim.vehicle.transitions import Phase
from gateway.phases import PHASES
from gateway.transaction import State
from hil_rigs.fault_catalogue.catalogue import CATALOGUE
from hil_rigs.scenario.event_kinds import RECORDS
from ocmf.terms import CURRENT_TYPES, UNITS, IdType, Level, PointType, Tx
from ports.charge_control import ControlFault, PilotState
from ports.meter import Quality

Values = Mapping[str, frozenset[str]]


def _of(**words: Iterable[str]) -> Values:
    return {name: frozenset(map(str, each)) for name, each in words.items()}


BOOLEAN = frozenset({"false", "true"})
_FAULT = _of(fault=ControlFault, active=BOOLEAN)
_ENTRY = _of(kind=RECORDS)
_DELIVERY = _of(context=RECORDS)

# by the kind of the event
VALUES: Mapping[str, Values] = {
    "pilot.fault": _FAULT,
    "pilot.lock": _of(locked=BOOLEAN),
    "pilot.state": _of(state=PilotState, pwm=BOOLEAN),
    "pilot.vehicle": _of(phase=Phase),
    "power.contactor": _of(closed=BOOLEAN),
    "power.flow": _of(closed=BOOLEAN),
    "journal.intent": _ENTRY,
    "journal.signed": _ENTRY,
    "journal.unfinished": _ENTRY,
    "session.authorised": _of(id_type=IdType, level=Level),
    "session.card": _of(id_type=IdType),
    "session.fault": _FAULT,
    "session.record": _of(context=RECORDS, tx=Tx),
    "session.state": _of(state=State, phase=PHASES.values()),
    "backend.duplicate": _DELIVERY,
    "backend.refused": _DELIVERY,
    "backend.stored": _DELIVERY,
    "backend.trouble": _DELIVERY,
}

# OCMF 1.4.1: tables 7, 10, 11, 17, 18, 20 and 21
RECORD_VALUES = _of(
    TX=Tx,
    ST=Quality,
    EF=("", "E", "t", "Et"),
    IS=BOOLEAN,
    IL=Level,
    IT=IdType,
    CT=PointType,
    RU=UNITS,
    RT=CURRENT_TYPES,
)
BEGUN_VALUES = _of(fault=CATALOGUE)
