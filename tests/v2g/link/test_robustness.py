"""What a peer may do to a station: leave at any message, send anything. The next vehicle is always served."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.v2g.link.doubles import run
from tests.v2g.link.test_whole_session import Pair
from v2g.exi.codec import encode
from v2g.exi.generated.sap.types import AppProtocolType, supportedAppProtocolReq
from v2g.link.connection import LinkSettings
from v2g.link.simple_vehicle import SimpleVehicle
from v2g.link.vehicle import connect
from v2g.sdp import Security
from v2g.session.evcc import Evcc
from v2g.session.events import Received
from v2g.session.vehicle_side import VehicleState
from v2g.v2gtp import Frame, PayloadType

MODES = {"AC": "AC_three_phase_core", "DC": "DC_extended"}
# answers of a whole session with two turns of the loop
LENGTHS = {"AC": 12, "DC": 17}


async def vehicle_that_leaves(pair, after, *, by):
    """Drive a session and break it when so many answers have come; `by`: who breaks it, and how."""
    state = VehicleState(mode=pair.mode, protocols=("iso2",))
    vehicle = SimpleVehicle(state, pair.clock, loops=2)
    count = 0

    def event(connection, event):
        nonlocal count
        vehicle.handle(connection, event)
        count += isinstance(event, Received)
        if count >= after:
            count = -1000
            if by == "reset":
                connection._transport.abort()
            elif by == "vehicle":
                connection.abort("unplugged")
            else:
                (at_station,) = pair.station.connections
                at_station.abort("emergency stop")

    connection = await connect(
        pair.links[1], LinkSettings(pair.clock), lambda _, now: Evcc(state, now=now), event, settle_s=0.0
    )
    await connection.closed
    return count < 0


@pytest.mark.parametrize("by", ["vehicle", "reset", "station"])
@pytest.mark.parametrize("kind", ["AC", "DC"])
def test_a_session_broken_at_any_message_leaves_the_station_ready(kind, by):
    async def main(clock):
        pair = Pair(clock, mode=MODES[kind])
        await pair.open()
        for after in range(1, 100):
            if not await vehicle_that_leaves(pair, after, by=by):
                break
            begin = clock.monotonic()
            await pair.drive(("iso2",), loops=1, settle_s=0.0)
            assert pair.ended[-1] == ("EVCC", "terminated") or pair.ended[-2] == ("EVCC", "terminated")
            assert clock.monotonic() - begin < 60
            await clock.sleep(5)
            assert pair.station.connections == set(), f"after {after} answers"
            # the contactor is open, whatever happened
            assert not any(side.state.power_on for side in pair.sides.values())
        await pair.station.close()
        return pair, after - 1

    pair, boundaries = run(main)
    assert boundaries == LENGTHS[kind]
    broken = [outcome for who, outcome in pair.ended if who == "SECC" and outcome != "terminated"]
    assert set(broken) == {"aborted" if by == "station" else "lost"}


async def plain(pair):
    return await asyncio.open_connection("fe80::5e", pair.station.ports()[Security.NONE])


HANDSHAKE = bytes.fromhex("01fe8001000000248000ebab9371d34b9b79d189a98989c1d191d191818999d26b9b3a232b30020000040040")
AGREED = bytes.fromhex("01fe80010000000480400040")


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("01fe800100000000"),  # length 0
        bytes.fromhex("01fe700100000002abcd"),  # payload type of nobody
        bytes.fromhex("fffe80010000000480400040"),  # version
        bytes.fromhex("01ff80010000000480400040"),  # inverse version
        bytes.fromhex("01fe8001ffffffff"),  # longer than anything
        bytes.fromhex("01fe80010000"),  # six of eight octets
        bytes.fromhex("01fe9000000000021000"),  # SDP over TCP
        bytes.fromhex("01fe800200000004809a0011"),  # a payload type of -20
        bytes.fromhex("01fe800100000004deadbeef"),  # no EXI
    ],
    ids=["length 0", "type", "version", "inverse", "limit", "half header", "SDP", "-20", "no EXI"],
)
def test_octets_that_are_no_message_are_ignored_until_the_time_is_up(octets):
    async def main(clock):
        pair = Pair(clock)
        await pair.open()
        reader, writer = await plain(pair)
        writer.write(HANDSHAKE)
        assert await reader.readexactly(len(AGREED)) == AGREED
        begin = clock.monotonic()
        writer.write(octets)
        await pair.drive(("iso2",), loops=1)  # meanwhile another vehicle
        rest = await reader.read()
        writer.close()
        await pair.station.close()
        return rest, clock.monotonic() - begin, pair

    rest, seconds, pair = run(main)
    assert rest == b""
    assert 5 < seconds <= 60  # the message timeouts of the machine
    assert ("EVCC", "terminated") in pair.ended
    assert ("SECC", "timed out") in pair.ended
    ignored = [event for event in pair.traced if event.kind == "v2g.ignored"]
    assert len(ignored) == (octets != bytes.fromhex("01fe80010000"))


def test_two_messages_in_one_segment_and_one_in_many():
    """[two requests at once]: the second is answered after the first."""
    setup = bytes.fromhex("01fe800100000015809802000000000000000011d018004488cd115400")

    async def main(clock):
        pair = Pair(clock)
        await pair.open()
        reader, writer = await plain(pair)
        writer.write(HANDSHAKE + setup[:3])
        assert await reader.readexactly(len(AGREED)) == AGREED
        for octet in setup[3:]:
            writer.write(bytes((octet,)))
            await clock.sleep(0.001)
        header = await reader.readexactly(8)
        writer.close()
        await pair.station.close()
        return header, pair.messages()

    header, messages = run(main)
    assert header[:4] == bytes.fromhex("01fe8001")
    assert messages[-2:] == ["SessionSetupReq", "SessionSetupRes"]


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.just(HANDSHAKE),
        st.builds(
            lambda kind, payload: bytes(Frame(kind, payload)),
            st.sampled_from([*PayloadType, 0x7001, 0xA000]),
            st.binary(max_size=60),
        ),
    ),
    max_size=6,
)


@given(PIECES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_anything_may_come_and_the_next_vehicle_is_served(pieces):
    send(pieces)


@pytest.mark.fuzz
@given(PIECES)
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
def test_anything_may_come_in_a_long_campaign(pieces):
    send(pieces)


def send(pieces):
    async def main(clock):
        crashes = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: crashes.append(context))
        pair = Pair(clock)
        await pair.open()
        _, writer = await plain(pair)
        for piece in pieces:
            writer.write(piece)
            await clock.sleep(0.01)
        await pair.drive(("iso2",), loops=1, settle_s=0.0)
        writer.close()
        await pair.station.close()
        return crashes, pair.ended

    crashes, ended = run(main)
    assert crashes == []
    assert ("EVCC", "terminated") in ended


@pytest.mark.parametrize("reads", [True, False])
def test_tcp_is_down_five_seconds_after_the_end_whatever_the_vehicle_does(reads):
    """A vehicle that nobody can talk to, and that keeps its end open."""
    nobody = AppProtocolType(
        ProtocolNamespace="urn:nobody", VersionNumberMajor=1, VersionNumberMinor=0, SchemaID=1, Priority=1
    )
    request = bytes(Frame(PayloadType.EXI, encode(supportedAppProtocolReq(AppProtocol=[nobody]))))

    async def main(clock):
        pair = Pair(clock)
        await pair.open()
        reader, writer = await plain(pair)
        if not reads:
            writer.transport.pause_reading()
        writer.write(request)
        await clock.sleep(5)
        left = len(pair.station.connections)
        if reads:
            await reader.read()
        writer.transport.abort()
        await pair.station.close()
        return left, pair

    left, pair = run(main)
    assert left == 0
    assert [outcome for who, outcome in pair.ended] == ["failed"]
