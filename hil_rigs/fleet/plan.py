"""What a fleet is: how many stations, for how long, what they do, and what goes wrong meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hil_rigs.rig_file import RigFileError
from hil_rigs.typed_yaml import Problem, TypedYaml

MAX_STATIONS = 10_000
MAX_OCTETS = 1 << 16  # a larger file is no plan
MARGIN_H = 0.25  # between two sessions: to plug, to end, to be free again
LONGEST_H = 14.0  # of a session: its 200 kWh battery takes 16 A that long
LATEST_LOOP_S = 59.0  # V2G_SECC_Sequence_Timeout is 60 s (ISO 15118-2 table 109)

Share = Annotated[float, Meta(ge=0, le=0.5)]
Hours = Annotated[float, Meta(gt=0, le=24 * 31)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class Iso15118(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stations that lead their sessions by ISO 15118-2 (AC) instead of the pilot's duty alone."""

    stations: Annotated[int, Meta(ge=0, le=MAX_STATIONS, description="how many of the fleet")] = 0
    loop_s: Annotated[float, Meta(ge=0.1, le=LATEST_LOOP_S, description="between two ChargingStatusReq")] = 58.0
    contracts: Annotated[
        bool, Meta(description="Plug & Charge over TLS, with contracts from the pools; false: cards (EIM), no TLS")
    ] = True


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How CSMS and pools misbehave: shares of all calls and requests, drawn for each station from the seed."""

    errors: Annotated[
        Share, Meta(description="calls: CALLERROR InternalError; connections, and requests to the pools: 503")
    ] = 0.01
    lost_acks: Annotated[Share, Meta(description="taken, and never answered")] = 0.001


class Outage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CSMS and pools go down and come up again with what their databases hold."""

    at_h: Annotated[float, Meta(ge=0, description="hours after the beginning")]
    hours: Hours = 6.0


class FleetPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fleet file."""

    stations: Annotated[int, Meta(ge=1, le=MAX_STATIONS)] = 1000
    hours: Annotated[Hours, Meta(description="of virtual time")] = 24.0
    seed: int = 17
    start: Annotated[datetime, Meta(tz=True, description="civil time at the beginning")] = datetime(
        2026, 3, 29, tzinfo=UTC
    )
    sessions: Annotated[int, Meta(ge=1, le=1000, description="of each station, over all the hours")] = 2
    session_h: Annotated[float, Meta(gt=0, le=LONGEST_H, description="of each session")] = 4.0
    reading_interval_s: Annotated[Seconds, Meta(description="between two signed readings")] = 900.0
    live_interval_s: Annotated[float, Meta(ge=0, description="between two readings that are only shown; 0: none")] = 0.0
    meters: Annotated[
        Literal["direct", "rtu"],
        Meta(description="direct: a request reaches the simulated meter at once; rtu: over a paced 9600 baud line"),
    ] = "direct"
    heartbeat_s: Annotated[int, Meta(ge=10, le=86400, description="that the CSMS asks for")] = 3600
    ping_s: Annotated[Seconds, Meta(description="between WebSocket pings, at both ends")] = 3600.0
    processes: Annotated[int, Meta(ge=0, le=64, description="0: one for each core")] = 0
    iso15118: Iso15118 = Iso15118()
    faults: Faults = Faults()
    outages: Annotated[list[Outage], Meta(description="none by default")] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What belongs together."""
        need = self.sessions * (self.session_h + MARGIN_H)
        if need > self.hours:
            raise ValueError(
                f"sessions: {self.sessions} of {self.session_h:g} h need {need:g} h (with {MARGIN_H:g} h between them),"
                f" and hours is {self.hours:g}"
            )
        if self.iso15118.stations > self.stations:
            raise ValueError(f"iso15118: {self.iso15118.stations} stations of {self.stations}")
        free_at = 0.0
        for outage in sorted(self.outages, key=lambda one: one.at_h):
            if outage.at_h < free_at:
                raise ValueError(f"outages: one begins at {outage.at_h:g} h, before the last one is over")
            free_at = outage.at_h + outage.hours
        if free_at > self.hours:
            raise ValueError(f"outages: the last one ends at {free_at:g} h, after the {self.hours:g} h of the fleet")

    @property
    def has_contracts(self) -> bool:
        """Whether there are pools, and vehicles that want a contract."""
        return self.iso15118.contracts and self.iso15118.stations > 0

    @property
    def need_mib(self) -> float:
        """Room for journals and database, generously: half a MiB for each station and 20 KiB for each reading."""
        readings = self.sessions * (3 + self.session_h * 3600 / self.reading_interval_s)
        return 64 + self.stations * (0.5 + 0.02 * readings)


def proof_of_scale(stations: int = 1000, hours: float = 24.0) -> FleetPlan:
    """Two sessions of four hours a day, one station of fifty by ISO 15118, every fault, one outage of six hours.

    Fewer hours than a day: shorter sessions and a shorter outage in the same proportions. Raises ValueError.
    """
    if stations < 1 or hours <= 0:
        raise ValueError(f"{stations} stations for {hours:g} h: expected at least one, for some time")
    part = min(hours, 24.0) / 24.0
    return FleetPlan(
        stations=stations,
        hours=hours,
        seed=31,  # 1 % of so few requests to the pools are none with most seeds; with this one they refuse one
        sessions=max(1, round(2 * max(hours, 24.0) / 24.0)),
        session_h=4.0 * part,
        iso15118=Iso15118(stations=stations // 50),
        outages=[Outage(at_h=9.0 * part, hours=6.0 * part)],
    )


def load_plan(path: Path) -> FleetPlan:
    """Read a fleet file. Raises RigFileError with every problem and its line."""
    try:
        text = path.read_bytes()[: MAX_OCTETS + 1].decode("utf-8-sig")
    except OSError as error:
        raise RigFileError([Problem(path, 0, (), f"cannot read it: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise RigFileError([Problem(path, 1, (), "not UTF-8")]) from None
    if len(text) > MAX_OCTETS:
        raise RigFileError([Problem(path, 1, (), f"more than {MAX_OCTETS} characters are too many for a fleet file")])
    source = TypedYaml(path, text)
    plan = source.build(FleetPlan)
    if plan is None:
        raise RigFileError(source.problems)
    return plan
