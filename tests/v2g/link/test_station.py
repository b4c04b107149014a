"""Station and vehicle over the network in memory: sessions side by side, and what must not harm the others."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hil_rigs.real_clock import RealClock
from ports.errors import PeerError, RigError
from tests.v2g.link.chains import write_chain
from tests.v2g.link.doubles import START, Echo, frame, run
from tests.v2g.test_client_hello import openssl_hello
from v2g.link.connection import LinkSettings
from v2g.link.interfaces import LOOPBACK, in_memory
from v2g.link.limits import LinkLimits
from v2g.link.sdp_client import NoStationError, TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.station import Station
from v2g.link.tls_platform import why_not_reached
from v2g.link.tls_settings import StationTls, VehicleTls
from v2g.link.vehicle import connect
from v2g.sdp import SdpResponse, Security
from v2g.session.events import Ended, Received

STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")


class Bench:
    """A station of echoes, and what it saw."""

    def __init__(self, clock, **limits):
        self.clock = clock
        self.traced = []
        self.seen = []
        self.machines = []
        self.crashes = []
        self.settings = LinkSettings(clock, self.traced.append, limits=LinkLimits(**limits))
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.crashes.append(context))

    def make(self, connection, now):
        self.machines.append(Echo(now))
        return self.machines[-1]

    async def open(self, **options):
        self.station = await Station.open(
            options.pop("link", STATION), self.settings, self.make, lambda _, event: self.seen.append(event), **options
        )
        return self.station

    async def vehicle(self, first=b"", **options):
        """(connection, machine) of a vehicle that says `first`."""
        machines = []

        def make(connection, now):
            machines.append(Echo(now, first, answers=False))
            return machines[0]

        options.setdefault("settle_s", 0.0)
        connection = await connect(options.pop("link", VEHICLE), LinkSettings(self.clock), make, **options)
        return connection, machines

    def kinds(self):
        return [event.kind for event in self.traced]


def bench(**limits):
    """A test body in virtual time."""

    def decorate(body):
        def test(tmp_path):
            async def main(clock):
                it = Bench(clock, **limits)
                await body(it, tmp_path)
                if hasattr(it, "station"):
                    await it.station.close()
                assert not it.crashes or "expects_crash" in it.__dict__

            run(main)

        return test

    return decorate


async def raw(station, octets=b""):
    """A TCP connection by hand to the plain port."""
    reader, writer = await asyncio.open_connection("fe80::5e", dict(station.ports())[0x10])
    writer.write(octets)
    return reader, writer


@bench()
async def test_a_session_from_sdp_to_the_end(it, tmp_path):
    await it.open()
    connection, machines = await it.vehicle(b"bye")
    await connection.closed
    await it.clock.sleep(0.1)
    assert it.machines[0].heard == [b"bye"]
    assert machines[0].heard == [b"bye"]
    assert [event for event in it.seen if isinstance(event, Ended)] == [Ended("terminated")]
    assert it.station.connections == set()
    kinds = it.kinds()
    for kind in ("sdp.request", "sdp.response", "tcp.open", "v2g.rx", "v2g.tx", "v2g.Ended", "tcp.close", "tcp.closed"):
        assert kind in kinds
    received = next(event for event in it.traced if event.kind == "v2g.rx")
    assert received.raw == frame(b"bye")
    assert received.data["role"] == "SECC"


@bench()
async def test_octets_one_by_one_and_frames_glued_together(it, tmp_path):
    station = await it.open()
    reader, writer = await raw(station)
    for octet in frame(b"single"):
        writer.write(bytes((octet,)))
        await it.clock.sleep(0.01)
    writer.write(frame(b"one") + frame(b"two") + frame(b"three")[:5])
    expected = frame(b"single") + frame(b"one") + frame(b"two")
    assert await reader.readexactly(len(expected)) == expected
    writer.write(frame(b"three")[5:])
    assert await reader.readexactly(len(frame(b"three"))) == frame(b"three")
    writer.close()


@bench()
async def test_six_of_eight_header_octets_then_silence(it, tmp_path):
    station = await it.open()
    reader, writer = await raw(station, frame(b"x")[:6])
    other, _ = await it.vehicle(b"bye")
    await other.closed
    begin = it.clock.monotonic()
    assert await reader.read() == b""
    assert it.clock.monotonic() - begin == pytest.approx(60, abs=1)
    assert it.machines[0].heard == []
    assert it.machines[0].over == "timed out"
    writer.close()


@bench()
async def test_a_bug_in_one_session_ends_that_one_only(it, tmp_path):
    it.expects_crash = True
    station = await it.open()
    reader, writer = await raw(station)
    writer.write(frame(b"hello"))
    await reader.readexactly(13)
    crashing, _ = await it.vehicle(b"boom")
    await crashing.closed
    writer.write(frame(b"still here"))
    assert await reader.readexactly(18) == frame(b"still here")
    writer.close()
    crash = next(event for event in it.traced if event.kind == "session.crash")
    assert "a bug in the session" in crash.data["traceback"]
    assert isinstance(it.crashes[0]["exception"], RuntimeError)


@bench()
async def test_what_a_listener_raises_ends_its_session_only(it, tmp_path):
    it.expects_crash = True

    def listen(connection, event):
        if isinstance(event, Received) and event.octets == b"trouble":
            raise KeyError("listener")

    station = await Station.open(STATION, it.settings, it.make, listen)
    crashing, _ = await it.vehicle(b"trouble")
    await crashing.closed
    good, machines = await it.vehicle(b"bye")
    await good.closed
    assert machines[0].heard == [b"bye"]
    assert "KeyError" in it.crashes[0]["exception"].__class__.__name__
    await station.close()


@bench()
async def test_an_answer_that_comes_later(it, tmp_path):
    station = await it.open()
    reader, writer = await raw(station, frame(b"wait"))
    await it.clock.sleep(1)
    (connection,) = station.connections
    connection.changed()
    it.machines[0].answer = b"at last"
    connection.changed()
    connection.changed()
    assert await reader.readexactly(15) == frame(b"at last")
    writer.close()


@bench()
async def test_a_change_out_of_an_event_comes_after_it(it, tmp_path):
    def listen(connection, event):
        if isinstance(event, Received):
            it.machines[0].answer = b"at once"
            connection.changed()

    station = await Station.open(STATION, it.settings, it.make, listen)
    reader, writer = await raw(station, frame(b"wait"))
    assert await reader.readexactly(15) == frame(b"at once")
    writer.close()
    await station.close()


@bench()
async def test_abort_out_of_an_event_and_from_outside(it, tmp_path):
    def listen(connection, event):
        if isinstance(event, Received) and event.octets == b"unplugged":
            connection.abort("unplugged")

    station = await Station.open(STATION, it.settings, it.make, listen)
    inside, _ = await it.vehicle(b"unplugged")
    await inside.closed
    outside, machines = await it.vehicle(b"hello")
    await it.clock.sleep(1)
    outside.abort("key removed")
    await outside.closed
    await it.clock.sleep(0.1)
    assert [machine.over for machine in it.machines] == ["unplugged", "lost"]
    assert machines[0].over == "key removed"
    await station.close()


@bench()
async def test_a_lost_connection_ends_the_session(it, tmp_path):
    station = await it.open()
    _, writer = await raw(station, frame(b"hello"))
    await it.clock.sleep(1)
    writer.transport.abort()
    await it.clock.sleep(1)
    assert it.machines[0].over == "lost"
    assert station.connections == set()


@bench()
async def test_shutdown_ends_every_session_within_five_seconds(it, tmp_path):
    station = await it.open()
    ends = [await raw(station, frame(b"hello")) for _ in range(5)]
    await it.clock.sleep(1)
    begin = it.clock.monotonic()
    await station.close()
    await station.close()
    assert it.clock.monotonic() - begin <= 5
    assert [machine.over for machine in it.machines] == ["the station shuts down"] * 5
    for reader, writer in ends:
        assert await reader.read() == frame(b"hello")
        writer.close()
    with pytest.raises(NoStationError):
        await it.vehicle()


@bench()
async def test_a_vehicle_that_does_not_read_is_dropped_in_time(it, tmp_path):
    station = await it.open()
    _, writer = await raw(station)
    writer.transport.pause_reading()
    payload = bytes(60_000)
    writer.write(frame(payload) * 40)
    await it.clock.sleep(1)
    begin = it.clock.monotonic()
    await station.close()
    assert it.clock.monotonic() - begin == pytest.approx(2.0)
    writer.transport.abort()


@bench(frames_per_second=20, connections=2)
async def test_limits_end_one_connection(it, tmp_path):
    station = await it.open()
    reader, writer = await raw(station, frame(b"x") * 30)
    assert len(await reader.read()) <= 30 * 9
    assert "tcp.limit" in it.kinds()
    writer.close()
    pairs = [await raw(station, frame(b"a")) for _ in range(3)]
    await it.clock.sleep(1)
    with pytest.raises(ConnectionError):
        await pairs[2][0].read()
    assert await pairs[0][0].readexactly(9) == frame(b"a")
    for _, each in pairs:
        each.close()


# TLS


def station_tls(tmp_path, *letters, **how):
    return StationTls(tuple(write_chain(tmp_path, letter, **how) for letter in letters))


@bench()
async def test_a_session_over_tls(it, tmp_path):
    tls = station_tls(tmp_path, "A")
    await it.open(policy=TlsPolicy.OFFERED, tls=tls)
    for wish in (TlsWish.REQUIRED, TlsWish.PREFERRED, TlsWish.OFF):
        connection, machines = await it.vehicle(b"bye", wish=wish, tls=VehicleTls((tls.chains[0].root,)))
        await connection.closed
        assert machines[0].heard == [b"bye"]
        assert (connection.tls is not None) == (wish is not TlsWish.OFF)
    hello = next(event for event in it.traced if event.kind == "tls.client_hello")
    assert "0xc023" in hello.data["ciphers"]
    assert hello.data["chain"].startswith("CN=SECC A")
    assert [event.data["cipher"] for event in it.traced if event.kind == "tls.established"] == [
        "ECDHE-ECDSA-AES128-SHA256"
    ] * 2


@bench()
async def test_a_station_that_requires_tls_has_no_plain_port(it, tmp_path):
    tls = station_tls(tmp_path, "A")
    station = await it.open(policy=TlsPolicy.REQUIRED, tls=tls)
    assert list(station.ports()) == [0x00]
    with pytest.raises(PeerError, match="wants TLS, which is off here"):
        await it.vehicle(wish=TlsWish.OFF)
    assert all(event.data["security"] == "TLS" for event in it.traced if event.kind == "sdp.response")


@bench()
async def test_an_expired_certificate_leaves_sessions_without_tls(it, tmp_path):
    tls = station_tls(tmp_path, "O", end=1)
    station = await it.open(policy=TlsPolicy.OFFERED, tls=tls)
    wishes = {"wish": TlsWish.PREFERRED, "tls": VehicleTls((tls.chains[0].root,))}
    before, _ = await it.vehicle(b"bye", **wishes)
    await before.closed
    await it.clock.sleep(2 * 86400)
    after, machines = await it.vehicle(b"bye", **wishes)
    await after.closed
    assert (before.is_tls, after.is_tls) == (True, False)
    assert machines[0].heard == [b"bye"]
    assert "CN=SECC O expired" in next(e.data["why"] for e in it.traced if e.kind == "tls.unavailable")
    await station.close()
    await it.open(policy=TlsPolicy.REQUIRED, tls=tls)
    with pytest.raises(NoStationError):
        await it.vehicle(**wishes)
    assert "sdp.silent" in it.kinds()


@bench()
async def test_a_vehicle_judges_by_its_own_clock(it, tmp_path):
    tls = station_tls(tmp_path, "O", end=1)
    await it.open(policy=TlsPolicy.REQUIRED, tls=tls)
    it.clock.set(START - timedelta(days=300))
    connection, machines = await it.vehicle(
        b"bye",
        wish=TlsWish.REQUIRED,
        tls=VehicleTls((tls.chains[0].root,)),
        station=(await found(it)),
    )
    await connection.closed
    assert machines == []
    assert "CN=SECC O is not valid before" in str(connection.tls_error)


async def found(it):
    port = it.station._servers[Security.TLS].sockets[0].getsockname()[1]
    return SdpResponse(STATION.address, port, Security.TLS)


@bench()
async def test_a_refused_handshake_shows_the_alert_at_both_ends(it, tmp_path):
    tls = station_tls(tmp_path, "A")
    other = write_chain(tmp_path, "B")
    await it.open(policy=TlsPolicy.REQUIRED, tls=tls)
    connection, machines = await it.vehicle(wish=TlsWish.REQUIRED, tls=VehicleTls((other.root,)))
    await connection.closed
    await it.clock.sleep(1)
    assert machines == []
    assert it.machines == []
    assert "we sent the alert unknown_ca" in str(connection.tls_error)
    failed = next(event for event in it.traced if event.kind == "tls.failed")
    assert "alert unknown ca" in failed.data["why"]


@pytest.mark.skipif(bool(why_not_reached()), reason=f"OpenSSL beyond ssl: {why_not_reached()}")
@pytest.mark.parametrize(
    ("staple", "required", "problem"),
    [
        ("GOOD", True, ""),
        ("REVOKED", False, "revoked"),
        ("", True, "sent no OCSP response"),
        ("", False, ""),
    ],
)
def test_the_staple_is_judged(tmp_path, staple, required, problem):
    tls = station_tls(tmp_path, "A", staple=staple)

    async def main(clock):
        it = Bench(clock)
        await it.open(policy=TlsPolicy.REQUIRED, tls=tls)
        vehicle = VehicleTls((tls.chains[0].root,), require_staple=required)
        connection, machines = await it.vehicle(b"bye", wish=TlsWish.REQUIRED, tls=vehicle)
        await connection.closed
        await it.station.close()
        return connection, machines

    connection, machines = run(main)
    assert bool(machines) == (not problem)
    assert problem in str(connection.tls_error or "")


def test_a_staple_that_cannot_be_seen_is_not_the_stations_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("v2g.link.tls_platform.why_not_reached", lambda: "libssl is linked statically")
    tls = VehicleTls((station_tls(tmp_path, "A").chains[0].root,), require_staple=True)

    async def main(clock):
        with pytest.raises(RigError, match="this machine cannot see one: libssl is linked statically"):
            await Bench(clock).vehicle(b"bye", wish=TlsWish.REQUIRED, tls=tls)

    run(main)


@bench()
async def test_a_vehicle_with_static_ecdh_only_is_told_apart(it, tmp_path):
    await it.open(policy=TlsPolicy.REQUIRED, tls=station_tls(tmp_path, "A"))
    reader, writer = await asyncio.open_connection("fe80::5e", it.station.ports()[Security.TLS])
    hello = openssl_hello()
    only = bytes.fromhex("0004c02300ff")  # the list of ciphers: this one, and the signal of RFC 5746
    assert hello.count(only) == 1
    writer.write(hello.replace(only, bytes.fromhex("0004c02500ff")))
    alert = await reader.read()
    assert alert == bytes.fromhex("15030300020228")
    writer.close()
    failed = next(event for event in it.traced if event.kind == "tls.failed")
    assert failed.data["alert"] == "handshake_failure"
    assert "static ECDH): OpenSSL removed it in 1.1.0" in failed.data["why"]


@bench()
async def test_plain_octets_on_the_tls_port_and_silence_there(it, tmp_path):
    await it.open(policy=TlsPolicy.REQUIRED, tls=station_tls(tmp_path, "A"))
    port = it.station.ports()[0x00]
    reader, writer = await asyncio.open_connection("fe80::5e", port)
    writer.write(frame(b"hello"))
    assert await reader.read() == b""
    writer.close()
    begin = it.clock.monotonic()
    reader, writer = await asyncio.open_connection("fe80::5e", port)
    assert await reader.read() == b""
    assert it.clock.monotonic() - begin == pytest.approx(18.0)
    writer.close()
    assert [event.data["why"][:12] for event in it.traced if event.kind == "tls.failed"] == [
        "no TLS hands",
        "no TLS after",
    ]


@bench()
async def test_what_is_missing_is_said_first(it, tmp_path):
    with pytest.raises(RigError, match="TLS is offered, but no certificate chain"):
        await it.open(policy=TlsPolicy.OFFERED)
    with pytest.raises(RigError, match="TLS is required, but no V2G roots"):
        await it.vehicle(wish=TlsWish.REQUIRED)
    with pytest.raises(PeerError, match="accepts no TCP connection"):
        await it.vehicle(station=SdpResponse(STATION.address, 50000, 0x10))


# the kernel's own network


async def test_the_same_over_the_loopback_of_the_machine(tmp_path):
    it = Bench(RealClock())
    tls = station_tls(tmp_path, "A")
    station = await it.open(link=LOOPBACK, policy=TlsPolicy.OFFERED, tls=tls, sdp_port=0)
    for wish in (TlsWish.REQUIRED, TlsWish.OFF):
        connection, machines = await it.vehicle(
            b"bye", link=LOOPBACK, sdp_port=station.sdp_port, wish=wish, tls=VehicleTls((tls.chains[0].root,))
        )
        await connection.closed
        assert machines[0].heard == [b"bye"]
    idle, _ = await it.vehicle(b"hello", link=LOOPBACK, sdp_port=station.sdp_port)
    await station.close()
    await idle.closed
    assert not it.crashes
    assert station.connections == set()
