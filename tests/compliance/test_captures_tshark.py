"""Capture reading and writing, judged by tshark (Wireshark): TCP reassembly, checksums, TLS decryption.

Sessions: captures of tux-evse/iso15118-simulator-rs (Apache-2.0), as frames; put into TCP segments here,
in disorder and with repetitions.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ports.errors import RigError
from v2g.capture import read_capture
from v2g.capture_writer import CaptureWriter
from v2g.tshark import decrypt, read_capture_file
from v2g.v2gtp import Frame, PayloadType

V2G = Path(__file__).parents[3] / "shared" / "data" / "v2g"
pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def tshark(path: Path, *arguments: str) -> str:
    command = ["tshark", "-n", "-r", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def session(
    name: str, count: int | None = None, shuffle: random.Random | None = None
) -> tuple[CaptureWriter, list[dict]]:
    if not V2G.is_dir():
        pytest.skip(f"public test data {V2G} is absent")
    with gzip.open(V2G / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:count]
    writer = CaptureWriter(station_address=IPv6Address(bytes.fromhex(rows[1]["hex"])[8:24]))
    for row in rows:
        send = writer.udp if row["protocol"] == "SDP" else writer.tcp
        start = len(writer._blocks) or 2
        send(row["t"], row["direction"].startswith("ev"), bytes.fromhex(row["hex"]))
        if shuffle is not None and row is not rows[2]:  # the third row opens the connection
            segments = writer._blocks[start:]
            segments += shuffle.sample(segments, shuffle.randrange(2) * len(segments) // 2)
            shuffle.shuffle(segments)
            writer._blocks[start:] = segments
    writer.close(rows[-1]["t"])
    return writer, rows


@pytest.mark.parametrize("name", ["audi-dc-iso2", "vw-ac-iso2", "tesla-3-din"])
def test_written_captures_have_no_flaw(name, tmp_path):
    writer, rows = session(name, 600)
    path = tmp_path / "session.pcapng"
    path.write_bytes(writer.octets())
    options = ["-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    flaws = tshark(
        path, *options, "-Y", "_ws.expert.severity >= 0x00600000 || tcp.checksum.status == 0 || _ws.malformed"
    )
    assert flaws == ""
    udp = tshark(path, "-Y", "udp.dstport == 15118", "-T", "fields", "-e", "udp.payload").split()
    assert udp == [rows[0]["hex"]]


@pytest.mark.parametrize("seed", range(4))
def test_reassembly_agrees_in_disorder(seed, tmp_path, monkeypatch):
    """Each message in segments of 16 octets, shuffled and some of them repeated."""
    monkeypatch.setattr("v2g.capture_writer._MSS", 16)
    rng = random.Random(seed)
    writer, rows = session("audi-dc-iso2", 400, shuffle=rng)
    path = tmp_path / "session.pcapng"
    path.write_bytes(writer.octets())
    theirs = {"vehicle": "", "station": ""}
    for line in tshark(path, "-q", "-z", "follow,tcp,raw,0").splitlines()[6:-1]:
        theirs["station" if line.startswith("\t") else "vehicle"] += line.strip()
    capture = read_capture(path.read_bytes())
    ours = {"vehicle": "", "station": ""}
    for frame in capture.frames[2:]:
        ours[frame.sender] += bytes(frame.frame).hex()
    assert ours == theirs
    assert [bytes(frame.frame).hex() for frame in capture.frames] == [row["hex"] for row in rows]
    assert capture.notes == []


def tls_session(version: ssl.TLSVersion, folder: Path) -> tuple[CaptureWriter, Path, list[bytes]]:
    """A handshake between two OpenSSL ends in memory, its records written down with the key log."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SECC")])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=9)).sign(
        key, hashes.SHA256()
    )
    pem, key_log = folder / "secc.pem", folder / "keys.log"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(pem)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    client.keylog_filename = str(key_log)
    to_client, to_server = (ssl.MemoryBIO(), ssl.MemoryBIO())
    from_client, from_server = (ssl.MemoryBIO(), ssl.MemoryBIO())
    vehicle, station = (
        client.wrap_bio(to_client, from_client),
        server.wrap_bio(to_server, from_server, server_side=True),
    )
    writer, time = CaptureWriter(), 1_700_000_000.0

    def carry() -> None:
        nonlocal time
        for is_vehicle, source, target in ((True, from_client, to_server), (False, from_server, to_client)):
            if octets := source.read():
                time += 0.125
                writer.tcp(time, is_vehicle, octets)
                target.write(octets)

    for _ in range(4):
        for end in (vehicle, station):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        carry()
    request, answer = bytes(Frame(PayloadType.EXI, b"\x80" * 20)), bytes(Frame(PayloadType.DC, b"\x80" * 40_000))
    for end, octets in ((vehicle, request[:5]), (vehicle, request[5:] + request), (station, answer)):
        end.write(octets)
        carry()
    writer.close(time)
    return writer, key_log, [request, request, answer]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_tls_opens_with_a_key_log_beside_or_inside_the_file(version, tmp_path):
    writer, key_log, sent = tls_session(version, tmp_path)
    plain, with_keys = tmp_path / "plain.pcapng", tmp_path / "keys.pcapng"
    plain.write_bytes(writer.octets())
    with_keys.write_bytes(writer.octets(key_log.read_bytes()))
    for capture in (read_capture_file(plain, key_log), read_capture_file(with_keys)):
        assert [bytes(f.frame) for f in capture.frames] == sent
        assert [f.sender for f in capture.frames] == ["vehicle", "vehicle", "station"]
        assert capture.notes == []
    closed = read_capture_file(plain)
    assert closed.frames == []
    assert closed.notes == ["stream 0 is TLS and stays closed: no keys (give a TLS key log)"]
    (tmp_path / "other.log").write_text("")
    assert read_capture_file(plain, tmp_path / "other.log").notes == [
        "stream 0 is TLS and stays closed: the keys do not fit"
    ]


def test_what_cannot_be_decrypted_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(RigError, match="no such TLS key log"):
        decrypt(tmp_path / "x.pcap", tmp_path / "missing.log")
    (tmp_path / "x.pcap").write_bytes(b"no capture")
    with pytest.raises(RigError, match="tshark failed"):
        decrypt(tmp_path / "x.pcap")
    with pytest.raises(RigError, match="No such file"):
        read_capture_file(tmp_path / "y.pcap")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RigError, match="install the package tshark"):
        decrypt(tmp_path / "x.pcap")
