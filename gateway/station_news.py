"""What backends learn about the connectors: news as `ports.station` has them, told once each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.connector import Connector
from gateway.transaction import State
from ports.charge_control import PilotState
from ports.station import Availability, ChargingState, ConnectorNews

Listener = Callable[[ConnectorNews], None]

S, C = State, ChargingState
# OCPP 2.0.1 ChargingStateEnumType; energy may flow in CHARGING. Other states: connected, or idle without a vehicle
CHARGING: Mapping[State, ChargingState] = MappingProxyType(
    {
        S.OFFERED: C.SUSPENDED_EV,
        S.CLOSING: C.SUSPENDED_EV,
        S.CHARGING: C.CHARGING,
        S.PAUSING: C.SUSPENDED_EV,
        S.SUSPENDED: C.SUSPENDED_EV,
        S.WINDING_DOWN: C.CHARGING,
        S.STOPPING: C.CHARGING,
        S.STUCK: C.CHARGING,
    }
)


def news_of(number: int, one: Connector) -> ConnectorNews:
    """What holds at a connector now."""
    machine, transaction = one.machine, one.transaction
    if machine.faults:
        availability = Availability.FAULTED
    else:
        availability = Availability.AVAILABLE if machine.state is S.AVAILABLE else Availability.OCCUPIED
    at_rest = C.IDLE if machine.pilot is PilotState.A else C.CONNECTED
    return ConnectorNews(
        number,
        one.name,
        one.setup.point_id,
        availability,
        CHARGING.get(machine.state, at_rest),
        transaction.transaction_id if transaction else "",
        transaction.energy_kwh if transaction else None,
        tuple(sorted(machine.faults)),
    )


class StationNews:
    """Connectors count from 1, in the order of the rig."""

    def __init__(self) -> None:
        self._connectors: list[Connector] = []
        self._listeners: list[Listener] = []
        self._told: dict[str, ConnectorNews] = {}

    def add(self, one: Connector) -> None:
        """Follow a connector."""
        number = len(self._connectors) + 1
        self._connectors.append(one)
        one.on_change.append(lambda: self._look(number, one))

    def numbered(self, number: int) -> Connector | None:
        """None when there is no such number."""
        return self._connectors[number - 1] if 1 <= number <= len(self._connectors) else None

    def followed(self) -> list[Connector]:
        """By number."""
        return list(self._connectors)

    def now(self) -> list[ConnectorNews]:
        """What holds, by number."""
        return [news_of(number, one) for number, one in enumerate(self._connectors, 1)]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `ports.station.Station`."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _look(self, number: int, one: Connector) -> None:
        news = news_of(number, one)
        if self._told.get(one.name) == news:
            return
        self._told[one.name] = news
        for listener in self._listeners:  # by the loop: a fault of theirs is not the connector's
            asyncio.get_running_loop().call_soon(listener, news)
