"""Our vehicles as a process: `our_vehicle.py INTERFACE PORT[,PORT...] ac|dc VEHICLES LOOPS PAUSE [PKI]`.

Several ports are several stations, and the vehicles are spread over them. PKI: a folder with a contract to pay with.

Answers with one JSON object: per vehicle the seconds from the first SDP request to the first message of the charging
loop, the round trips of the loop in seconds, how the session ended. Lives on until stdin ends, for its memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from firmware_sim.vehicle.evcc_setup import read_contract_files
from hil_rigs.real_clock import RealClock
from ports.trace import TraceEvent
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import LOOPBACK, Interface, ready_interface
from v2g.link.sdp_client import TlsWish, find_station
from v2g.link.simple_vehicle import LOOP_REQUESTS, SimpleVehicle
from v2g.link.tls_settings import VehicleTls
from v2g.link.vehicle import connect
from v2g.link.warm_up import warm_up
from v2g.sdp import SdpResponse
from v2g.session.evcc import Evcc, EvccSettings
from v2g.session.events import Ended, Event, Received, Send
from v2g.session.vehicle_side import VehicleState

STAGGER_S = 2.0  # over which several vehicles arrive


@dataclass(slots=True)
class Journey:
    """What one vehicle measured."""

    began: float = 0.0
    reached: float = 0.0
    outcome: str = ""
    sent: float = 0.0
    turns: list[float] = field(default_factory=list)


async def journey(
    link: Interface,
    port: int,
    energy: str,
    loops: int,
    pause: float,
    station: SdpResponse | None,
    wait_s: float,
    pki: Path | None,
) -> Journey:
    """One session."""
    clock = RealClock()
    it = Journey()
    state = VehicleState(mode="DC_extended" if energy == "dc" else "AC_three_phase_core", protocols=("iso2",))
    tls, wish = None, TlsWish.OFF
    if pki is not None:
        tls, wish = VehicleTls((pki / "v2g-root.pem",)), TlsWish.REQUIRED
        state.payment = "Contract"
        state.contract = read_contract_files(pki / "contract.chain.pem", pki / "contract.key")
    vehicle = SimpleVehicle(state, clock, loops=loops)
    waits = EvccSettings(poll=0.0, status=pause, current=pause, pre_charge=0.0)

    def trace(event: TraceEvent) -> None:
        if event.kind == "sdp.request" and not it.began:
            it.began = event.at

    def on_event(connection: Connection, event: Event) -> None:
        if isinstance(event, Send) and event.name in LOOP_REQUESTS:
            it.sent = clock.monotonic()
            it.reached = it.reached or it.sent
        elif isinstance(event, Received) and event.name in ("ChargingStatusRes", "CurrentDemandRes"):
            it.turns.append(clock.monotonic() - it.sent)
        elif isinstance(event, Ended):
            it.outcome = event.outcome
        vehicle.handle(connection, event)

    await clock.sleep(wait_s)
    if station is None:  # the tracer is for SDP only: traced messages would be decoded for it
        station = await find_station(link, wish, clock, trace, settle_s=0.0, port=port)
    connection = await connect(
        link,
        LinkSettings(clock),
        lambda connection, now: Evcc(state, now=now, tls=connection.is_tls, settings=waits),
        on_event,
        wish=wish,
        tls=tls,
        station=station,
    )
    await connection.closed
    return it


async def main(
    interface: str, ports: list[int], energy: str, vehicles: int, loops: int, pause: float, pki: Path | None
) -> None:
    """All at once; with more than one, SDP is done once for each station."""
    warm_up()
    clock = RealClock()
    link = LOOPBACK if interface == "lo" else await ready_interface(interface, clock)
    stations: list[SdpResponse | None] = [None]
    if vehicles > 1:
        stations = [await find_station(link, TlsWish.OFF, clock, settle_s=0.0, port=port) for port in ports]
    begin = clock.monotonic()
    found = await asyncio.gather(
        *(
            journey(link, ports[0], energy, loops, pause, stations[n % len(stations)], STAGGER_S * n / vehicles, pki)
            for n in range(vehicles)
        )
    )
    seconds = clock.monotonic() - begin
    result = {
        "seconds": seconds,
        "reached": [one.reached - one.began for one in found],
        "turns": [turn for one in found for turn in one.turns],
        "outcomes": [one.outcome for one in found],
    }
    print(json.dumps(result), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    words = sys.argv[1:]
    folder = Path(words[6]) if len(words) > 6 else None
    at = [int(port) for port in words[1].split(",")]
    asyncio.run(main(words[0], at, words[2], int(words[3]), int(words[4]), float(words[5]), folder))
