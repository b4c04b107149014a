"""A vehicle's machine and a station's machine, joined by frames, in time that only the pair moves."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from v2g.session.evcc import Evcc
from v2g.session.events import (
    AuthorizationWanted,
    CableCheckWanted,
    Close,
    Ended,
    Event,
    ParametersWanted,
    PowerState,
    PowerWanted,
    Received,
    Refused,
    Send,
    VoltageWanted,
    WeldingWanted,
)
from v2g.session.machine import CLOSED
from v2g.session.secc import Secc, SeccSettings
from v2g.session.station_side import Schedule, ScheduleOffer, StationState
from v2g.session.vehicle_side import VehicleState

FIRST_SESSION = (1).to_bytes(8, "big")  # the first octets that `counting` gives


def counting() -> Callable[[int], bytes]:
    """Octets that differ at every call and are the same in every run."""
    numbers = itertools.count(1)
    return lambda count: next(numbers).to_bytes(count, "big")


class AutoStation(StationState):
    """A station that does at once what its machine wants. `slow` names wishes that stay open."""

    slow: frozenset[str] = frozenset()

    def follow(self, event: Event) -> bool:
        """Do it; whether anything changed."""
        name = type(event).__name__
        if name in self.slow:
            return False
        match event:
            case AuthorizationWanted():
                self.authorization = self.authorization or "OK"
            case ParametersWanted(renegotiation=renegotiation):
                if renegotiation:
                    self.notification = "None"
                if self.schedules is None:
                    self.schedules = ScheduleOffer((Schedule(1, ((0, 11000.0),)),))
            case CableCheckWanted():
                self.isolation = self.isolation or "Valid"
            case VoltageWanted(voltage=voltage):
                self.present_voltage = min(voltage, self.dc.max_voltage)
            case PowerWanted(on=on):
                self.power_on = on
                if not on:
                    self.present_current = 0.0
            case WeldingWanted():
                self.present_voltage = 10.0
            case _:
                return False
        return True


class Pair:
    """Both machines. loops: the vehicle stops after so many loop answers."""

    def __init__(
        self,
        station: AutoStation | None = None,
        vehicle: VehicleState | None = None,
        *,
        tls: bool = False,
        loops: int = 3,
        secc: dict[str, Any] | None = None,
        evcc: dict[str, Any] | None = None,
        settings: SeccSettings | None = None,
    ) -> None:
        self.now = 1000.0
        self.station = station or AutoStation()
        self.vehicle = vehicle or VehicleState()
        settings = replace(settings or SeccSettings(), random=counting())
        self.secc = Secc(self.station, now=self.now, tls=tls, settings=settings, **(secc or {}))
        self.evcc = Evcc(self.vehicle, now=self.now, tls=tls, **(evcc or {}))
        self.loops = loops
        self.trace: list[tuple[str, str]] = []
        self.events: list[tuple[str, Event]] = []
        self.after_loops = "stop"
        self._queue: deque[tuple[str, Event]] = deque()
        self._dealing = self._changed = False
        self.on_event: Callable[[str, Event], None] = lambda _who, _event: None

    def run(self, limit: float = 600.0) -> None:
        """Until both are closed, or `limit` seconds of fake time are over."""
        end = self.now + limit
        self.deal("vehicle", self.evcc.start(self.now))
        while self.now < end:
            times = [m.deadline for m in (self.secc, self.evcc) if m.state != CLOSED and m.deadline is not None]
            if not times:
                return
            self.now = max(self.now, min(times))
            self.deal("vehicle", self.evcc.update(self.now))
            self.deal("station", self.secc.update(self.now))

    def deal(self, who: str, events: list[Event]) -> None:
        """Carry out events of one side, and what follows from them, in order."""
        self._queue.extend((who, event) for event in events)
        if self._dealing:
            return
        self._dealing = True
        while self._queue:
            sender, event = self._queue.popleft()
            self.events.append((sender, event))
            self.on_event(sender, event)
            self._carry_out(sender, event)
            if not self._queue and self.secc.pending is not None and self._changed:
                self._changed = False
                self._queue.extend(("station", event) for event in self.secc.update(self.now))
        self._dealing = False

    def _carry_out(self, sender: str, event: Event) -> None:
        other, machine = ("station", self.secc) if sender == "vehicle" else ("vehicle", self.evcc)
        match event:
            case Send(octets=octets, name=name):
                self.trace.append((sender, name))
                self._queue.extend((other, event) for event in machine.receive(octets, self.now))
            case Close():
                self._queue.extend((other, event) for event in machine.closed(self.now))
            case PowerState():
                self.loops -= 1
                if self.loops <= 0 and self.vehicle.wish == "charge":
                    self.vehicle.wish = self.after_loops
            case _ if sender == "station":
                self._changed = self.station.follow(event) or self._changed

    def sent(self, who: str = "vehicle") -> list[str]:
        """Messages of one side, repetitions folded."""
        return [name for name, _ in itertools.groupby(name for sender, name in self.trace if sender == who)]

    def found(self, kind: type[Any], who: str | None = None) -> list[Any]:
        """Events of a kind."""
        return [event for sender, event in self.events if isinstance(event, kind) and who in (None, sender)]

    def ended(self, who: str) -> Ended:
        """How it ended."""
        (found,) = self.found(Ended, who)
        result: Ended = found
        return result

    def refused(self) -> list[tuple[str, str]]:
        """(request, code) of the station's refusals."""
        return [(event.name, event.code) for event in self.found(Refused, "station")]

    def answers(self, name: str) -> list[Any]:
        """Bodies of a message that the vehicle received."""
        return [e.message.Body.BodyElement for e in self.found(Received, "vehicle") if e.name == name]
