"""What is drawn over time: values, bands and flags of every connector, taken from the events of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hil_rigs.evidence.event_hash import Event

LARGEST = 1e12
Point = tuple[float, float]
MOST_FLAGS = 200_000  # of one kind: what comes later is not drawn
BANDS = ("phase", "V2G", "pilot", "duty", "contactor")
INJECTED = "fault "
"""How the names of all other bands begin, when it was done on purpose."""

MOMENTARY = frozenset({"cable.PilotFault.c_pulse", "cable.BrokenLatch"})
"""Faults that are over by themselves."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasts. until: None while it does."""

    since: float
    until: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that happened at once."""

    at: float
    text: str


@dataclass(slots=True)
class Track:
    """One connector. values: points by name ("voltage L1"); bands: spans by name; flags: instants by name."""

    values: dict[str, list[Point]] = field(default_factory=lambda: defaultdict(list))
    bands: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    flags: dict[str, list[Flag]] = field(default_factory=lambda: defaultdict(list))

    def begin(self, band: str, at: float, text: str) -> None:
        """The band changes; "" ends it."""
        spans = self.bands[band]
        if spans and spans[-1].until is None:
            if spans[-1].text == text:
                return
            spans[-1] = Span(spans[-1].since, at, spans[-1].text)
        if text:
            spans.append(Span(at, None, text))

    def flag(self, name: str, at: float, text: str) -> None:
        """An instant."""
        if len(self.flags[name]) < MOST_FLAGS:
            self.flags[name].append(Flag(at, text))


@dataclass(slots=True)
class Series:
    """The tracks of a run by connector; "" holds what belongs to none. began, ended: boot-time seconds."""

    tracks: dict[str, Track] = field(default_factory=lambda: defaultdict(Track))
    began: float | None = None
    ended: float = 0.0
    _registers: dict[str, float] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        """The next event."""
        self.began = event.at if self.began is None else self.began
        self.ended = max(self.ended, event.at)
        for prefix, take in _TAKERS.items():
            if event.kind.startswith(prefix):
                take(self, event)
                return

    def track(self, event: Event) -> Track:
        """Of the connector that the event is about."""
        named = str(event.data.get("connector") or event.source).partition(".")[0]
        return self.tracks[named if named in self.tracks else ""]


def _number(value: Any) -> float:
    """A value of an event for a plot; what cannot be drawn is 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if abs(number) <= LARGEST else 0.0


def _numbers(value: Any) -> list[float]:
    return [_number(one) for one in value] if isinstance(value, list) else []


def _sample(series: Series, event: Event) -> None:
    data, values = event.data, series.tracks[event.source].values
    for name, key in (("voltage", "voltage_v"), ("current", "current_a")):
        for phase, value in enumerate(_numbers(data.get(key))[:3], start=1):
            values[f"{name} L{phase}"].append((event.at, value))
    values["power"].append((event.at, _number(data.get("power_w")) / 1000))
    values["energy plant"].append((event.at, _number(data.get("energy_wh")) / 1000))
    for name, value in zip(("high", "low"), _numbers(data.get("pilot_v")), strict=False):
        values[f"pilot {name}"].append((event.at, value))
    track = series.tracks[event.source]
    duty = data.get("duty")
    track.begin("duty", event.at, "" if duty is None else f"{_number(duty):.4g} %")
    track.begin("contactor", event.at, "closed" if data.get("contactor") else "")


def _energy(series: Series, event: Event) -> None:
    register = _number(event.data.get("register"))
    first = series._registers.setdefault(event.source, register - _number(event.data.get("kwh")))  # noqa: SLF001
    series.tracks[event.source].values["energy meter"].append((event.at, register - first))


def _state(series: Series, event: Event) -> None:
    series.tracks[event.source].begin("phase", event.at, str(event.data.get("phase") or event.data.get("state") or ""))


def _pilot(series: Series, event: Event) -> None:
    text = f"{event.data.get('state')}{2 if event.data.get('pwm') else 1}"
    series.tracks[event.source].begin("pilot", event.at, text)


def _v2g_state(series: Series, event: Event) -> None:
    if event.source.endswith(".secc"):
        new = str(event.data.get("new", ""))
        series.track(event).begin("V2G", event.at, "" if new == "closed" else new)


def _fault(series: Series, event: Event) -> None:
    """Injected: from begun to over. One that strikes a number of times, or once, is shown when it begins."""
    name, times = str(event.data.get("fault", "")), event.data.get("times")
    where = f" on {event.source}" if event.source and event.source not in series.tracks else ""
    band = f"{INJECTED}{name}{where}"
    if event.kind == "fault.over":
        for track in series.tracks.values():
            track.begin(band, event.at, "")
    elif times is not None or name in MOMENTARY:
        often = "" if times is None else f", {times} times" if times != 1 else ", once"
        series.track(event).bands[band].append(Span(event.at, event.at, f"{name}{where}{often}"))
    else:
        series.track(event).begin(band, event.at, f"{name}{where}")


def _fault_of_plant(series: Series, event: Event) -> None:
    """What the simulated plant says of a fault that has just begun: at which connector that is."""
    if event.kind != "fault.injected":
        return
    for band, spans in series.tracks[""].bands.items():
        if band.startswith(f"{INJECTED}cable.{event.data.get('fault', '')}") and spans and spans[-1].since == event.at:
            series.track(event).bands[band].append(spans.pop())
            return


def _lasting(text: str, over: str) -> Callable[[Series, Event], None]:
    def take(series: Series, event: Event) -> None:
        said = "" if event.kind == over else f"{text} {event.source}"
        series.track(event).begin(f"{text} {event.source}", event.at, said)

    return take


def _flagged(name: str, *keys: str) -> Callable[[Series, Event], None]:
    def take(series: Series, event: Event) -> None:
        said = ", ".join(str(event.data[key]) for key in keys if event.data.get(key) not in (None, ""))
        series.track(event).flag(name or event.kind, event.at, said or event.source)

    return take


TROUBLES: Mapping[str, tuple[str, ...]] = {  # kinds of events that report one, and what of their data says which
    "pilot.fault": ("fault", "detail"),
    "session.fault": ("fault", "detail", "why"),
    "session.trouble": ("why",),
    "session.refused": ("why",),
    "evcc.failed": ("why",),
    "line.failure": ("kind",),
    "backend.trouble": ("why",),
}
_TAKERS: Mapping[str, Callable[[Series, Event], None]] = {
    "plant.sample": _sample,
    "session.energy": _energy,
    "session.state": _state,
    "pilot.state": _pilot,
    "v2g.StateChanged": _v2g_state,
    "fault.injected": _fault_of_plant,
    "fault.undone": _fault_of_plant,
    "fault.": _fault,
    "meter.dead": _lasting("meter dead", "meter.alive"),
    "meter.alive": _lasting("meter dead", "meter.alive"),
    "token.away": _lasting("token away", "token.opened"),
    "token.opened": _lasting("token away", "token.opened"),
    **{kind: _flagged("", *keys) for kind, keys in TROUBLES.items()},
    "journal.signed": _flagged("signatures", "page"),
    "backend.stored": _flagged("deliveries", "page"),
    "v2g.rx": _flagged("V2G messages", "message"),
}
