"""Our station as a process: `our_station.py INTERFACE ac|dc`. Says {"port": ...}, serves until stdin ends."""

from __future__ import annotations

import asyncio
import json
import sys

from hil_rigs.real_clock import RealClock
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import LOOPBACK, ready_interface
from v2g.link.limits import LinkLimits
from v2g.link.simple_station import AC_MODES, DC_MODES, SimpleStation
from v2g.link.station import Station
from v2g.session.events import Ended, Event
from v2g.session.secc import Secc
from v2g.session.station_side import StationState


async def main(interface: str, energy: str) -> None:
    """Serve; at the end say how the sessions ended."""
    clock = RealClock()
    sides: dict[Connection, SimpleStation] = {}
    outcomes: list[str] = []

    def make(connection: Connection, now: float) -> Secc:
        state = StationState(modes=AC_MODES if energy == "ac" else DC_MODES)
        sides[connection] = SimpleStation(state, clock)
        return Secc(state, now=now)

    def on_event(connection: Connection, event: Event) -> None:
        sides[connection].handle(connection, event)
        if isinstance(event, Ended):
            outcomes.append(event.outcome)

    link = LOOPBACK if interface == "lo" else await ready_interface(interface, clock)
    settings = LinkSettings(clock, limits=LinkLimits(connections=400))
    station = await Station.open(link, settings, make, on_event, sdp_port=0 if interface == "lo" else 15118)
    print(json.dumps({"port": station.sdp_port}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await station.close()
    print(json.dumps({"outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
