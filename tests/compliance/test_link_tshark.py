"""Recordings of links, judged by tshark (Wireshark): no malformed packet, TLS decrypted with the keys in the file."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hil_rigs.real_clock import RealClock
from tests.v2g.link.doubles import run
from tests.v2g.link.test_recording import STATION, VEHICLE, talk
from v2g.link.interfaces import LOOPBACK
from v2g.tshark import read_capture_file

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.mark.parametrize("own", ["station", "vehicle"])
@pytest.mark.parametrize("tls", [False, True])
async def test_wireshark_finds_no_flaw(tmp_path, own, tls):
    found = await talk(RealClock(), tmp_path, (LOOPBACK, LOOPBACK), tls=tls, own=own, sdp_port=0)
    path = tmp_path / "session.pcapng"
    path.write_bytes(found.octets())
    options = ["-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    flaws = tshark(
        path, *options, "-Y", "_ws.expert.severity >= 0x00600000 || tcp.checksum.status == 0 || _ws.malformed"
    )
    assert flaws == ""
    names = set(tshark(path, "-T", "fields", "-e", "frame.interface_name").split())
    assert names == ({"wire", "clear"} if tls else {"wire"})
    if tls:
        versions = tshark(path, "-Y", "tls.handshake.type == 2", "-T", "fields", "-e", "tls.handshake.ciphersuite")
        assert versions.split() == ["0xc023"] * 2
        hello = tshark(path, "-Y", "tls.handshake.type == 1", "-T", "fields", "-e", "tls.handshake.extension.type")
        assert all("3" in each.split(",") for each in hello.split())  # trusted_ca_keys


def test_wireshark_decrypts_with_the_keys_in_the_file(tmp_path):
    found = run(lambda clock: talk(clock, tmp_path, (STATION, VEHICLE), tls=True))
    found.key_log = tmp_path / "keys.log"
    found._entries = [entry for entry in found._entries if not entry.clear]
    (tmp_path / "wire.pcapng").write_bytes(found.octets())
    capture = read_capture_file(tmp_path / "wire.pcapng")
    texts = [f.frame.payload for f in capture.frames if f.frame.payload_type == 0x8001]
    for stream in (texts[:8], texts[8:]):
        assert sorted(stream) == sorted([b"one", b"two", b"x" * 5000, b"bye"] * 2)
    found.key_log = None
    (tmp_path / "closed.pcapng").write_bytes(found.octets())
    assert "stays closed" in read_capture_file(tmp_path / "closed.pcapng").notes[0]


def tshark(path, *arguments):
    command = ["tshark", "-n", "-r", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
