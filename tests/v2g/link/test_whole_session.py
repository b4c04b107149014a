"""Whole charging sessions over the links: real machines at both ends, in virtual time and over the loopback."""

from __future__ import annotations

import pytest

from hil_rigs.real_clock import RealClock
from tests.v2g.link.chains import write_chain
from tests.v2g.link.doubles import run
from v2g.link.connection import LinkSettings
from v2g.link.interfaces import LOOPBACK, in_memory
from v2g.link.sdp_client import TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.simple_station import AC_MODES, DC_MODES, SimpleStation
from v2g.link.simple_vehicle import SimpleVehicle
from v2g.link.station import Station
from v2g.link.tls_settings import StationTls, VehicleTls
from v2g.link.vehicle import connect
from v2g.session.evcc import Evcc
from v2g.session.events import CertificateWanted, Ended
from v2g.session.secc import Secc
from v2g.session.station_side import StationState
from v2g.session.vehicle_side import VehicleState

STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")


class Pair:
    """One station, vehicles after each other."""

    def __init__(self, clock, links=(STATION, VEHICLE), *, mode="AC_three_phase_core", authorize_after_s=0.0):
        self.clock = clock
        self.links = links
        self.mode = mode
        self.after = authorize_after_s
        self.sides = {}
        self.ended = []
        self.traced = []

    def make(self, connection, now):
        state = StationState(modes=DC_MODES if self.mode.startswith("DC") else AC_MODES)
        self.sides[connection] = SimpleStation(state, self.clock, authorize_after_s=self.after)
        return Secc(state, now=now, tls=connection.is_tls)

    def event(self, connection, event):
        self.sides[connection].handle(connection, event)
        if isinstance(event, Ended):
            self.ended.append(("SECC", event.outcome))

    async def open(self, **options):
        settings = LinkSettings(self.clock, self.traced.append)
        self.station = await Station.open(self.links[0], settings, self.make, self.event, **options)

    async def drive(self, protocols=("iso2", "din"), loops=3, soc=30, **options):
        state = VehicleState(mode=self.mode, protocols=protocols, soc=soc)
        vehicle = SimpleVehicle(state, self.clock, loops=loops)

        def event(connection, event):
            vehicle.handle(connection, event)
            if isinstance(event, Ended):
                self.ended.append(("EVCC", event.outcome))

        connection = await connect(
            self.links[1],
            LinkSettings(self.clock),
            lambda connection, now: Evcc(state, now=now, tls=connection.is_tls),
            event,
            sdp_port=self.station.sdp_port,
            **options,
        )
        await connection.closed
        return vehicle

    def messages(self):
        return [event.data["message"] for event in self.traced if event.kind in ("v2g.rx", "v2g.tx")]


@pytest.mark.parametrize(
    ("mode", "protocols", "loop"),
    [
        ("AC_three_phase_core", ("iso2", "din"), "ChargingStatus"),
        ("DC_extended", ("iso2",), "CurrentDemand"),
        ("DC_extended", ("din", "iso2"), "CurrentDemand"),
    ],
)
def test_sessions_from_sdp_to_the_end(mode, protocols, loop):
    async def main(clock):
        pair = Pair(clock, mode=mode)
        await pair.open()
        vehicle = await pair.drive(protocols)
        await clock.sleep(5)
        await pair.station.close()
        return pair, vehicle

    pair, vehicle = run(main)
    assert vehicle.turns == 3
    assert sorted(pair.ended) == [("EVCC", "terminated"), ("SECC", "terminated")]
    messages = pair.messages()
    assert messages.count(f"{loop}Req") == messages.count(f"{loop}Res") == 3
    assert messages[-2:] == ["SessionStopReq", "SessionStopRes"]
    # request and answer by turns, each with its octets and its decoded form
    assert [name[-3:] for name in messages] == ["Req", "Res"] * (len(messages) // 2)
    frames = [event for event in pair.traced if event.kind in ("v2g.rx", "v2g.tx")]
    assert all(event.raw[:2] == b"\x01\xfe" and event.data["decoded"] for event in frames)
    assert [event.at for event in frames] == sorted(event.at for event in frames)


def test_one_run_in_virtual_time_is_like_another():
    async def main(clock):
        pair = Pair(clock, mode="DC_extended")
        await pair.open()
        await pair.drive()
        await pair.station.close()
        return [(event.at, event.kind, event.data.get("message")) for event in pair.traced]

    assert run(main, seed=3) == run(main, seed=3)


def test_a_driver_takes_his_time():
    async def main(clock):
        pair = Pair(clock, authorize_after_s=90.0)
        await pair.open()
        begin = clock.monotonic()
        await pair.drive(loops=2)
        await pair.station.close()
        return pair, clock.monotonic() - begin

    pair, seconds = run(main)
    assert seconds > 90
    assert pair.messages().count("AuthorizationReq") > 100
    assert ("EVCC", "terminated") in pair.ended


def test_a_battery_that_is_full_stops_by_itself():
    async def main(clock):
        pair = Pair(clock, mode="DC_extended")
        await pair.open()
        vehicle = await pair.drive(("iso2",), loops=0, soc=97)
        (side,) = pair.sides.values()
        await pair.station.close()
        return vehicle, side

    vehicle, side = run(main)
    assert vehicle.state.soc == 99
    # 97 to 99 % of 60 kWh
    assert side.state.meter.reading == pytest.approx(1200, abs=5)
    assert side.state.present_current == 0.0


def test_a_station_without_a_backend_says_so():
    state = StationState()

    async def main(clock):
        side = SimpleStation(state, clock)

        class Connection:
            def changed(self):
                self.told = True

        connection = Connection()
        side.handle(connection, CertificateWanted("install", b"", 1.0))
        return connection.told

    assert run(main)
    assert state.certificate_answer.code == "FAILED_NoCertificateAvailable"


@pytest.mark.parametrize("links", ["memory", "kernel"])
def test_over_tls(tmp_path, links):
    chain = write_chain(tmp_path, "A")

    async def main(clock):
        pair = Pair(clock, (LOOPBACK, LOOPBACK) if links == "kernel" else (STATION, VEHICLE))
        tls = {"policy": TlsPolicy.REQUIRED, "tls": StationTls((chain,))}
        await pair.open(**tls, sdp_port=0 if links == "kernel" else 15118)
        await pair.drive(loops=1, wish=TlsWish.REQUIRED, tls=VehicleTls((chain.root,)))
        await pair.station.close()
        return pair

    if links == "kernel":
        import asyncio

        pair = asyncio.run(main(RealClock()))
    else:
        pair = run(main)
    assert sorted(pair.ended) == [("EVCC", "terminated"), ("SECC", "terminated")]
    assert "supportedAppProtocolReq" in pair.messages()
