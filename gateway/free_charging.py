"""Charging for nothing: whoever plugs in may charge, once for each time that the plug comes in."""

from __future__ import annotations

from collections.abc import Callable

from gateway.admission import NOBODY, Admission
from gateway.authorisation import RefusedError
from gateway.connector import Connector
from gateway.transaction import State
from ports.charge_control import PilotState


class FreeCharging:
    """Lets in at one connector. by_pilot: whether the duty leads, not a V2G session that asks by itself."""

    def __init__(self, connector: Connector, admission: Admission, by_pilot: Callable[[], bool]) -> None:
        self._connector = connector
        self._admission = admission
        self._by_pilot = by_pilot
        self._given = False
        connector.on_change.append(self._look)

    def _look(self) -> None:
        machine = self._connector.machine
        if machine.pilot is PilotState.A:
            self._given = False
        elif machine.in_transaction:
            self._given = True  # whoever began it: what has ended does not begin again by itself
        elif machine.state is State.PLUGGED and not self._given and self._by_pilot():
            self._given = True
            admit_anybody(self._admission, self._connector)


def admit_anybody(admission: Admission, connector: Connector) -> None:
    """Nobody is asked; only the connector itself may stand in the way, which the trace says."""
    try:
        admission.admit(connector, NOBODY)
    except RefusedError:
        return
