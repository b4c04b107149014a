"""SDP over the network in memory, and over the loopback of the machine."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from hil_rigs.real_clock import RealClock
from ports.errors import PeerError, RigError
from tests.v2g.link.doubles import run
from v2g import sdp
from v2g.link.interfaces import LOOPBACK, in_memory
from v2g.link.limits import LinkLimits
from v2g.link.sdp_client import NoStationError, TlsWish, find_station
from v2g.link.sdp_server import SdpServer, TlsPolicy, security_offered

TLS, NONE = sdp.Security.TLS, sdp.Security.NONE
BOTH = {TLS: 60000, NONE: 60001}
STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")


@pytest.mark.parametrize(
    ("policy", "asked", "ports", "answer"),
    [
        (TlsPolicy.REQUIRED, TLS, BOTH, TLS),
        (TlsPolicy.REQUIRED, NONE, BOTH, TLS),  # never "no TLS"
        (TlsPolicy.REQUIRED, TLS, {NONE: 1}, None),
        (TlsPolicy.REQUIRED, NONE, {NONE: 1}, None),
        (TlsPolicy.OFFERED, TLS, BOTH, TLS),
        (TlsPolicy.OFFERED, NONE, BOTH, NONE),
        (TlsPolicy.OFFERED, TLS, {NONE: 1}, NONE),  # certificate expired
        (TlsPolicy.OFF, TLS, BOTH, NONE),
        (TlsPolicy.OFF, NONE, BOTH, NONE),
    ],
)
def test_what_a_station_answers(policy, asked, ports, answer):
    assert security_offered(policy, asked, ports) == answer


async def serve(clock, tracer, policy=TlsPolicy.OFFERED, link=STATION, **options):
    return await SdpServer.serve(link, policy, lambda: BOTH, clock, tracer, **options)


def test_a_vehicle_finds_the_station():
    events = []

    async def main(clock):
        server = await serve(clock, events.append)
        found = [await find_station(VEHICLE, wish, clock, events.append) for wish in TlsWish]
        server.close()
        return found, clock.monotonic()

    found, _ = run(main)
    assert [(one.address, one.port, one.security) for one in found] == [
        (STATION.address, 60000, TLS),
        (STATION.address, 60000, TLS),
        (STATION.address, 60001, NONE),
    ]
    assert [event.kind for event in events[:4]] == ["sdp.request", "sdp.request", "sdp.response", "sdp.response"]
    assert events[0].raw.hex() == "01fe9000000000020000"
    assert events[0].data["vehicle"] == events[1].data["vehicle"]


def test_nobody_answers_fifty_requests_in_twelve_and_a_half_seconds():
    events = []

    async def main(clock):
        begin = clock.monotonic()
        with pytest.raises(NoStationError, match=r"no station answered 50 SDP requests in 12\.5 s on vehicle"):
            await find_station(VEHICLE, TlsWish.OFF, clock, events.append)
        return clock.monotonic() - begin

    assert run(main) == pytest.approx(12.5)
    times = [event.at for event in events]
    assert len(times) == 50
    assert [later - sooner for sooner, later in itertools.pairwise(times)] == pytest.approx([0.25] * 49)


def test_a_station_that_comes_late_is_found():
    async def main(clock):
        search = asyncio.ensure_future(find_station(VEHICLE, TlsWish.OFF, clock))
        await clock.sleep(3.1)
        server = await serve(clock, lambda _: None)
        found = await search
        server.close()
        return found.port, clock.monotonic()

    assert run(main) == (60001, pytest.approx(1003.25 + 0.05))


def test_less_security_than_required_is_refused_and_said():
    async def main(clock):
        server = await serve(clock, lambda _: None, TlsPolicy.OFF)
        preferred = await find_station(VEHICLE, TlsWish.PREFERRED, clock)
        with pytest.raises(NoStationError, match="TLS is required here, the station offers none") as caught:
            await find_station(VEHICLE, TlsWish.REQUIRED, clock, tries=2)
        server.close()
        return preferred, caught.value

    preferred, error = run(main)
    assert preferred.security == NONE
    assert sdp.parse(error.received).port == 60001


def test_two_stations_on_one_link_are_an_error_that_names_both():
    async def main(clock):
        servers = [await serve(clock, lambda _: None, link=in_memory(address)) for address in ("fe80::5e", "fe80::5f")]
        with pytest.raises(RigError, match=r"2 stations answer on vehicle: \[fe80::5e\]:60001 and \[fe80::5f\]:60001"):
            await find_station(VEHICLE, TlsWish.OFF, clock)
        first = await find_station(VEHICLE, TlsWish.OFF, clock, settle_s=0.0)
        for server in servers:
            server.close()
        return first

    assert run(main).port == 60001


def test_what_is_no_request_is_reported_and_not_answered():
    events, answers = [], []
    good = bytes(sdp.SdpRequest(NONE).frame())
    bad = [
        b"",
        good[:9],
        b"\xff" + good[1:],
        good[:8] + b"\x10\x10",
        good[:8] + b"\x20\x00",
        bytes(sdp.SdpResponse(STATION.address, 1).frame()),
    ]

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            answers.append(data)

    async def main(clock):
        server = await serve(clock, events.append)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=("fe80::e0", 0))
        for octets in [*bad, good]:
            transport.sendto(octets, ("ff02::1", 15118))
        await clock.sleep(1)
        transport.close()
        server.close()

    run(main)
    assert [event.kind for event in events] == ["sdp.ignored"] * len(bad) + ["sdp.request", "sdp.response"]
    assert [event.raw for event in events[: len(bad)]] == bad
    assert len(answers) == 1


def test_a_vehicle_ignores_what_is_no_answer():
    events = []

    class Liar(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            for answer in (
                b"\x01\xfe\x90",
                bytes(sdp.SdpRequest().frame()),
                bytes(sdp.SdpResponse(STATION.address, 50000, 0x44).frame()),
                bytes(sdp.SdpResponse(STATION.address, 50000, NONE, 0x10).frame()),
                bytes(sdp.SdpResponse(STATION.address, 0, NONE).frame()),
            ):
                self.transport.sendto(answer, addr)

    async def main(clock):
        await asyncio.get_running_loop().create_datagram_endpoint(Liar, local_addr=("ff02::1", 15118))
        loop = asyncio.get_running_loop()
        for endpoint in loop.net._endpoints:
            endpoint.socket.groups.add("ff02::1")
        with pytest.raises(NoStationError, match="cannot be connected to"):
            await find_station(VEHICLE, TlsWish.OFF, clock, events.append, tries=1)

    run(main)
    kinds = [event.kind for event in events]
    assert kinds.count("sdp.ignored") == 2
    assert kinds.count("sdp.refused") == 3


def test_a_flood_is_answered_up_to_the_limit():
    events = []

    async def main(clock):
        server = await serve(clock, events.append, limits=LinkLimits(sdp_per_second=3))
        for _ in range(2):
            for _ in range(5):
                server.datagram_received(bytes(sdp.SdpRequest().frame()), ("fe80::e0", 5000, 0, 0))
            await clock.sleep(1)
        server.close()

    run(main)
    assert [event.kind for event in events].count("sdp.response") == 6
    assert [event.kind for event in events].count("sdp.ignored") == 4


async def test_over_the_loopback_of_the_machine():
    clock = RealClock()
    server = await serve(clock, lambda _: None, link=LOOPBACK, port=0)
    found = await find_station(LOOPBACK, TlsWish.REQUIRED, clock, port=server.port, settle_s=0.0)
    with pytest.raises(RigError, match=rf"SDP cannot listen on UDP port {server.port} of lo.*another SDP server"):
        await serve(clock, lambda _: None, link=LOOPBACK, port=server.port)
    server.close()
    server.close()
    assert (str(found.address), found.port, found.security) == ("::1", 60000, TLS)


async def test_a_port_that_nobody_answers_on_is_silence():
    clock = RealClock()
    begin = time.monotonic()
    with pytest.raises(PeerError, match="no station answered 2 SDP requests"):
        await find_station(LOOPBACK, TlsWish.OFF, clock, port=9, tries=2, interval_s=0.01)
    assert time.monotonic() > begin
