"""Our stations as a process: `our_station.py INTERFACE ac|dc [STATIONS [PKI]]`.

Says {"ports": [...]} (SDP, one for each station), serves until stdin ends. PKI: folder as `plugbench pki export` writes
it; then TLS is required and contracts are taken.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hil_rigs.real_clock import RealClock
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import LOOPBACK, ready_interface
from v2g.link.limits import LinkLimits
from v2g.link.sdp_server import TlsPolicy
from v2g.link.simple_station import AC_MODES, DC_MODES, SimpleStation
from v2g.link.station import Station
from v2g.link.tls_settings import Chain, StationTls, read_certificates
from v2g.session.events import Ended, Event
from v2g.session.secc import Secc
from v2g.session.station_side import StationState


async def main(interface: str, energy: str, stations: int, pki: Path | None) -> None:
    """Serve; at the end say how the sessions ended."""
    clock = RealClock()
    sides: dict[Connection, SimpleStation] = {}
    outcomes: list[str] = []
    tls = roots = None
    if pki is not None:
        tls = StationTls((Chain(pki / "secc.chain.pem", pki / "secc.key", None, pki / "v2g-root.pem"),))
        roots = tuple(root for name in ("mo-root.pem", "v2g-root.pem") for root in read_certificates(pki / name))

    def make(connection: Connection, now: float) -> Secc:
        payments = ("ExternalPayment",) if pki is None else ("Contract",)
        modes = AC_MODES if energy == "ac" else DC_MODES
        state = StationState(modes=modes, payments=payments, contract_roots=roots)
        sides[connection] = SimpleStation(state, clock)
        return Secc(state, now=now, tls=connection.is_tls)

    def on_event(connection: Connection, event: Event) -> None:
        sides[connection].handle(connection, event)
        if isinstance(event, Ended):
            outcomes.append(event.outcome)

    link = LOOPBACK if interface == "lo" else await ready_interface(interface, clock)
    settings = LinkSettings(clock, limits=LinkLimits(connections=400))
    policy = TlsPolicy.OFF if tls is None else TlsPolicy.REQUIRED
    port = 0 if interface == "lo" else 15118
    opened = [
        await Station.open(link, settings, make, on_event, policy=policy, tls=tls, sdp_port=port)
        for _ in range(stations)
    ]
    print(json.dumps({"ports": [one.sdp_port for one in opened]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for one in opened:
        await one.close()
    print(json.dumps({"outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words[2]) if len(words) > 2 else 1
    asyncio.run(main(words[0], words[1], count, Path(words[3]) if len(words) > 3 else None))
