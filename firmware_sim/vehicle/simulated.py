"""A basic vehicle (no digital communication of its own): resistors on the pilot, a battery behind the inlet.

It lives on the plant's agenda and is told when pilot or power change; between changes nothing runs. An EVCC may lead it
(`lead`): then S2, the DC contactors of the inlet and the limit of current are the EVCC's, the wish stays the driver's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from firmware_sim.agenda import MS, Agenda, Entry, ns
from firmware_sim.branch import NONE, Amounts, Branch
from firmware_sim.cable import NOTHING, Cable
from firmware_sim.duty import MIN_A, DutyKind, meaning
from firmware_sim.energy_counter import to_wh
from firmware_sim.pilot import Diode, PilotLoad, parallel
from firmware_sim.proximity import NOMINAL_OHM
from firmware_sim.vehicle.battery import Battery
from firmware_sim.vehicle.script import Step
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import NEXT, Phase
from firmware_sim.vehicle.wish import Seconds, ToSoc, Wish, inlet_energy_left
from ports.errors import LocalError

SUPPLY_MV = 80_000  # an on-board charger starts from about 80 V (100 V nets less 20 %)


class Outlet(Protocol):
    """Where a vehicle can be plugged in."""

    @property
    def name(self) -> str:
        """Of the connector."""

    @property
    def cable(self) -> Cable:
        """Pilot, proximity, earth."""

    @property
    def branch(self) -> Branch:
        """Power."""


class SimulatedVehicle:
    """One vehicle. Faults set the attributes of the misbehaviour group, then call `touch`."""

    def __init__(
        self,
        name: str,
        settings: VehicleSettings,
        agenda: Agenda,
        set_demand: Callable[[Branch, Amounts], None],
        trace: Callable[[str, str, dict[str, object]], None],
    ) -> None:
        self.name = name
        self.settings = settings
        self.battery = Battery.of(settings)
        self.phase = Phase.UNPLUGGED
        self.outlet: Outlet | None = None
        self.wish: Wish | None = ToSoc(100.0)
        self.needs_ventilation = settings.needs_ventilation
        # misbehaviour
        self.diode = Diode.SOUND
        self.ignores_pwm_off = False
        self.excess_a = 0.0  # drawn above what it may
        self.parasitic_a = 0.0  # drawn whenever the inlet is live, S2 open or not
        self._agenda = agenda
        self._set_demand = set_demand
        self._trace = trace
        self._plans: dict[str, Entry] = {}
        self._s2 = False
        self._limit_a = 0.0
        self._digital_a: float | None = None
        self._led = False
        self._dc = False
        self._inlet_closed = False  # DC: contactors between inlet and battery
        self.on_review: Callable[[], None] = lambda: None  # pilot, power or phase may have changed
        self._seen = 0  # of the branch's counter
        self.wish_delivered = 0
        self._time_is_up = False
        self._waiting: list[tuple[frozenset[Phase], asyncio.Future[Phase]]] = []

    # -- what the driver does -----------------------------------------------------------------------------------------

    def plug_in(self, outlet: Outlet) -> None:
        """Put the plug in. Raises LocalError when it is in somewhere, or the outlet is taken."""
        self._agenda.run_due()
        if self.outlet is not None:
            raise LocalError(f"{self.name} is plugged in at {self.outlet.name} already")
        if outlet.cable.pp_ohm is not None:
            raise LocalError(f"{outlet.name} is taken: unplug the other vehicle before {self.name}")
        self.outlet = outlet
        self._seen = self._counted()
        outlet.cable.listen(self._review)
        outlet.branch.listeners.append(self._review)
        outlet.cable.change(load=self._load(), pp_ohm=NOMINAL_OHM[self.settings.cable_a])
        self._event("plug")

    def unplug(self) -> None:
        """Pull the plug, whatever goes on; harmless when it is out."""
        self._agenda.run_due()
        self._event("unplug")

    def want(self, wish: Wish) -> None:
        """Charge as told, counted from now."""
        self._agenda.run_due()
        self._catch_up()
        self.wish, self._time_is_up, self.wish_delivered = wish, False, self.battery.delivered
        self._cancel("time is up")
        if isinstance(wish, Seconds) and self.phase is Phase.CHARGING:
            self._plan("time is up", wish.seconds, self._end_of_time)
        self._review()

    def stop(self) -> None:
        """Want nothing any more."""
        self._agenda.run_due()
        self.wish = None
        self._review()

    def toggle(self, count: int = 2, c_ms: int = 300, b_ms: int = 300) -> None:
        """Wake the station with B-C-B pulses (ISO 15118-3 table 3: 200 to 400 ms each) from B; draws nothing."""

        def pulse(closed: bool) -> None:
            if self.phase is Phase.CONNECTED:
                self._switch_s2(closed)

        for n in range(count):
            began = n * (c_ms + b_ms) * MS
            self._agenda.after(began, lambda: pulse(True))
            self._agenda.after(began + c_ms * MS, lambda: pulse(False))

    def set_digital_limit(self, amperes: float | None) -> None:
        """What digital communication allows while the duty is 5 %; None = nothing."""
        self._agenda.run_due()
        self._digital_a = amperes
        self._review()

    # -- what an EVCC does --------------------------------------------------------------------------------------------

    def lead(self, led: bool, *, dc: bool = False) -> None:
        """A V2G session leads from now on, or no longer; dc: it charges through the DC pins."""
        self._agenda.run_due()
        self._led, self._dc = led, led and dc
        if not led:
            self._digital_a, self._inlet_closed = None, False
        self._draw()
        self._review()

    def close_s2(self) -> None:
        """Pilot to C, at once."""
        self._agenda.run_due()
        self._event("ready")

    def cease(self) -> None:
        """Draw nothing any more, at once; the pilot stays."""
        self._agenda.run_due()
        if self.phase is Phase.CHARGING:
            self._event("stop")

    def open_s2(self) -> None:
        """Pilot to B, at once, without current."""
        self.cease()
        self._event("open" if self.phase is Phase.STOPPING else "stop")

    def close_inlet(self, closed: bool) -> None:
        """DC: the contactors between inlet and battery."""
        self._agenda.run_due()
        self._inlet_closed = closed
        if closed and self.phase is Phase.READY:
            self._event("supply")
        self._review()

    @property
    def wants_energy(self) -> bool:
        """Whether the driver's wish is still open."""
        self._agenda.run_due()
        self._catch_up()
        return self._wants()

    @property
    def sees_digital_duty(self) -> bool:
        """Whether the station shows the duty that asks for a V2G session."""
        duty = self.outlet.cable.vehicle_duty() if self.outlet else None
        return duty is not None and meaning(duty).kind is DutyKind.DIGITAL

    @property
    def duty_text(self) -> str:
        """The station's duty as the vehicle sees it, for people."""
        duty = self.outlet.cable.vehicle_duty() if self.outlet else None
        return "no duty" if duty is None else f"{duty:.3g} % duty"

    @property
    def pack_voltage(self) -> float:
        """V of the battery now."""
        s = self.settings
        return s.dc_empty_v + (s.dc_full_v - s.dc_empty_v) * self.soc / 100

    @property
    def dc_target_a(self) -> float:
        """A that the battery would take from a DC station now."""
        return self.battery.accepts_ma(round(self.settings.dc_max_a * 1000)) / 1000 if self.wants_energy else 0.0

    def play(self, steps: Sequence[Step], outlet: Outlet) -> None:
        """Plan the steps of a script from now."""
        for step in steps:
            self._agenda.after(ns(step.at_s), step.bind(self, outlet))

    async def until(self, *phases: Phase) -> Phase:
        """Wait for one of these phases; at once when it is there."""
        if self.phase in phases:
            return self.phase
        future: asyncio.Future[Phase] = asyncio.get_running_loop().create_future()
        self._waiting.append((frozenset(phases), future))
        return await future

    @property
    def amperes(self) -> float:
        """Current per phase that it asks for now."""
        return max(map(abs, self.outlet.branch.demand_ma)) / 1000 if self.outlet else 0.0

    @property
    def soc(self) -> float:
        """State of charge now, in per cent."""
        self._agenda.run_due()
        self._catch_up()
        return self.battery.soc

    def touch(self) -> None:
        """An attribute of the misbehaviour group changed."""
        if self.outlet is not None:
            self.outlet.cable.change(load=self._load())
            self._draw()
            self._review()

    # -- states -------------------------------------------------------------------------------------------------------

    def _event(self, event: str) -> None:
        row = NEXT.get((self.phase, event))
        if row is None:
            return
        self._catch_up()
        self.phase = row.next
        for name in tuple(self._plans):
            if name != "time is up":
                self._cancel(name)
        self._trace("pilot.vehicle", self.name, {"phase": row.next.value, "event": event})
        for action in row.actions:
            match action:
                case "close S2":
                    self._switch_s2(True)
                case "open S2":
                    self._switch_s2(False)
                case "draw":
                    self._limit_a = self._offered_a() or 0.0
                    if isinstance(self.wish, Seconds) and not self._time_is_up and "time is up" not in self._plans:
                        self._plan("time is up", self.wish.seconds, self._end_of_time)
                case "cease":
                    self._limit_a = 0.0
                case "leave":
                    self._leave()
        self._draw()
        for phases, future in self._waiting:
            if row.next in phases and not future.done():
                future.set_result(row.next)
        self._waiting = [(phases, future) for phases, future in self._waiting if not future.done()]
        self._review()

    def _review(self) -> None:
        """Something changed: plan, keep or cancel the next event."""
        if self.outlet is None:
            return
        self._catch_up()
        wants = self._wants()
        offered = self._offered_a()
        go = wants and offered is not None
        supplied = any(mv >= SUPPLY_MV for mv in self.outlet.branch.inlet_millivolts()[: self.settings.phases])
        supplied = supplied and (self._inlet_closed or not self._dc)
        s = self.settings
        self.on_review()
        match self.phase:
            case Phase.CONNECTED:
                self._plan_if(go and not self._led, "ready", s.ready_after_s)
            case Phase.READY:
                self._plan_if(not go and not self._led, "stop", s.stop_after_s)
                self._plan_if(go and supplied, "supply", s.draw_after_s)
            case Phase.CHARGING if not supplied:
                self._event("supply lost")
            case Phase.CHARGING if not wants:
                self._event("stop")
            case Phase.CHARGING:
                self._plan_if(not go and not self.ignores_pwm_off, "stop", s.stop_after_s)
                self._plan_if(go and offered != self._limit_a, "adapt", s.adapt_after_s, self._adapt)
                self._draw()
            case Phase.STOPPING:
                self._plan_if(not self._led, "open", s.open_after_s)

    def _adapt(self) -> None:
        offered = self._offered_a()
        if self.phase is Phase.CHARGING and offered is not None:
            self._limit_a = offered
            self._draw()

    def _end_of_time(self) -> None:
        self._time_is_up = True
        self._review()

    def _offered_a(self) -> float | None:
        """What the station allows; None = no charging."""
        duty = self.outlet.cable.vehicle_duty() if self.outlet else None
        if duty is None:
            return None
        said = meaning(duty)
        amperes = self._digital_a if said.kind is DutyKind.DIGITAL else said.amperes
        return amperes if amperes is not None and amperes >= MIN_A - 1e-6 else None

    def _wants(self) -> bool:
        if self.wish is None or self.battery.full or self._time_is_up:
            return False
        return inlet_energy_left(self.wish, self.battery, self.wish_delivered) != 0

    # -- current and battery ------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Ask for the right current and plan the moment at which that changes by itself."""
        self._cancel("battery")
        if self.outlet is None:
            return
        amperes = self.parasitic_a
        if self.phase is Phase.CHARGING:
            most = self.settings.dc_max_a if self._dc else self.settings.max_a
            allowed_ma = int(min(self._limit_a, most) * 1000 + 0.001)  # never a milliampere above
            amperes = max(self.battery.accepts_ma(allowed_ma) / 1000 + self.excess_a, self.parasitic_a)
        each = round(amperes * 1000)
        phases = 1 if self._dc else self.settings.phases
        l1, l2, l3 = (each if phase < phases else 0 for phase in range(3))
        self._set_demand(self.outlet.branch, (l1, l2, l3))
        power = self.outlet.branch.delivered.power_nw
        if power > 0:
            left = inlet_energy_left(self.wish, self.battery, self.wish_delivered) if self.wish else None
            needed = min(x for x in (left, self.battery.inlet_energy_to_step()) if x) if not self.battery.full else 0
            if needed:
                self._plans["battery"] = self._agenda.after(-(-needed // power), self._review)

    def _counted(self) -> int:
        """The branch's counter at the inlet."""
        if self.outlet is None:
            return 0
        imported, exported = self.outlet.branch.delivered.units(self._agenda.now())
        return imported - exported

    def _catch_up(self) -> None:
        """Bring the battery up to now."""
        if self.outlet is not None:
            counted = self._counted()
            self.battery.delivered += counted - self._seen
            self._seen = counted

    # -- pilot --------------------------------------------------------------------------------------------------------

    def _load(self) -> PilotLoad:
        s = self.settings
        if not self._s2:
            return PilotLoad(s.r_b_ohm, self.diode)
        return PilotLoad(parallel(s.r_b_ohm, s.r_d_ohm if self.needs_ventilation else s.r_c_ohm), self.diode)

    def _switch_s2(self, closed: bool) -> None:
        if self.outlet is not None and self._s2 is not closed:
            self._s2 = closed
            self.outlet.cable.change(load=self._load())

    def _leave(self) -> None:
        outlet, self.outlet = self.outlet, None
        if outlet is None:
            return
        self._trace(
            "power.vehicle", self.name, {"soc": self.battery.soc, "delivered_wh": str(to_wh(self.battery.delivered))}
        )
        self._cancel("time is up")
        self._s2 = False
        self._set_demand(outlet.branch, NONE)
        outlet.cable.leave(self._review)
        outlet.branch.listeners.remove(self._review)
        outlet.cable.change(load=NOTHING, pp_ohm=None)
        self.on_review()

    # -- plans --------------------------------------------------------------------------------------------------------

    def _plan(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        def run() -> None:
            self._plans.pop(name, None)
            do()

        self._plans[name] = self._agenda.after(ns(seconds), run)

    def _plan_if(self, wanted: bool, event: str, seconds: float, do: Callable[[], None] | None = None) -> None:
        if not wanted:
            self._cancel(event)
        elif event not in self._plans:
            self._plan(event, seconds, do or (lambda: self._event(event)))

    def _cancel(self, name: str) -> None:
        if (entry := self._plans.pop(name, None)) is not None:
            entry.cancel()
