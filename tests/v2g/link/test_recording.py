"""Recordings of links: what is in the file, and what Wireshark makes of it."""

from __future__ import annotations

import pytest

from ports.trace import TraceEvent
from tests.v2g.link.chains import write_chain
from tests.v2g.link.doubles import START, Echo, frame, run
from v2g.capture import read_capture
from v2g.link import recording
from v2g.link.connection import LinkSettings
from v2g.link.interfaces import in_memory
from v2g.link.recording import Recording
from v2g.link.sdp_client import TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.station import Station
from v2g.link.tls_settings import StationTls, VehicleTls
from v2g.link.vehicle import connect
from v2g.session.events import Send
from v2g.tshark import read_capture_file
from v2g.v2gtp import PayloadType

STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")


class Talker(Echo):
    """Sends three frames and says goodbye."""

    def start(self, now):
        return [Send(frame(text), "Ping") for text in (b"one", b"two", b"x" * 5000, b"bye")]


async def talk(clock, tmp_path, links, *, tls, own="station", sdp_port=15118):
    """Two sessions at once; the recording of one end."""
    keys = tmp_path / "keys.log" if tls else None
    chain = write_chain(tmp_path, "A")
    found = Recording(clock.now().timestamp() - clock.monotonic(), keys)
    settings = LinkSettings(clock)
    recorded = LinkSettings(clock, found.trace, found)
    station = await Station.open(
        links[0],
        recorded if own == "station" else settings,
        lambda _, now: Echo(now),
        policy=TlsPolicy.REQUIRED if tls else TlsPolicy.OFF,
        tls=StationTls((chain,), key_log=keys if own == "station" else None),
        sdp_port=sdp_port,
    )
    for_vehicle = recorded if own == "vehicle" else settings
    connections = [
        await connect(
            links[1],
            for_vehicle,
            lambda _, now: Talker(now, answers=False),
            wish=TlsWish.REQUIRED if tls else TlsWish.OFF,
            tls=VehicleTls((chain.root,), key_log=keys if own == "vehicle" else None),
            settle_s=0.0,
            sdp_port=station.sdp_port,
        )
        for _ in range(2)
    ]
    for connection in connections:
        await connection.closed
    await station.close()
    return found


@pytest.mark.parametrize("own", ["station", "vehicle"])
@pytest.mark.parametrize("tls", [False, True])
def test_both_sides_of_two_sessions_are_in_the_file(tmp_path, own, tls):
    found = run(lambda clock: talk(clock, tmp_path, (STATION, VEHICLE), tls=tls, own=own))
    capture = read_capture(found.octets())
    # the SDP of both, then the frames of both: with TLS those of the second interface
    requests = [f for f in capture.frames if f.frame.payload == b"one"]
    assert [str(f.sender) for f in requests] == ["vehicle", "station"] * 2
    assert sum(f.frame.payload == b"x" * 5000 for f in capture.frames) == 4
    assert sum(f.frame.payload_type in (PayloadType.SDP_REQUEST, PayloadType.SDP_RESPONSE) for f in capture.frames) == 4
    assert capture.frames[0].time == pytest.approx(START.timestamp(), abs=1)
    assert len({f.stream for f in requests}) == 2


def test_reading_a_recording_again_shows_each_frame_once(tmp_path):
    """With keys and the clear copy in one file, nothing has to be decrypted."""
    found = run(lambda clock: talk(clock, tmp_path, (STATION, VEHICLE), tls=True))
    (tmp_path / "session.pcapng").write_bytes(found.octets())
    capture = read_capture_file(tmp_path / "session.pcapng")
    assert sum(f.frame.payload == b"one" for f in capture.frames) == 4
    assert capture.notes == []


def test_a_recording_has_an_end(monkeypatch):
    monkeypatch.setattr(recording, "RECORD_LIMIT", 20)
    found = Recording(0.0)
    for octets in (b"x" * 15, b"y" * 10):
        found.trace(TraceEvent(1.0, "v2g", "sdp.request", "eth1", {"vehicle": "[fe80::1]:5"}, octets))
    assert found.left_out == 10
    assert len(found._entries) == 1


def test_addresses_that_are_no_ipv6_become_those_of_the_writer():
    found = Recording(0.0)
    found.trace(TraceEvent(1.0, "v2g", "sdp.request", "eth1", {"vehicle": "here"}, b"\x01\xfe\x90\0\0\0\0\x02\x10\0"))
    (captured,) = read_capture(found.octets()).frames
    assert captured.frame.payload == b"\x10\0"
