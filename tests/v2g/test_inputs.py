"""What users hand over."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.errors import PlugbenchError, RigError
from v2g.capture_writer import CaptureWriter
from v2g.inputs import InputError, payload_type_of, read_file, read_octets, read_text
from v2g.session_decoder import decode_frames
from v2g.v2gtp import HeaderError, IncompleteFrameError, PayloadType

FRAME = bytes.fromhex("01fe80010000000480400040")
EXI = FRAME[8:]


@pytest.mark.parametrize(
    "text",
    [
        FRAME.hex(),
        FRAME.hex().upper(),
        "0x" + FRAME.hex(),
        FRAME.hex(" "),
        FRAME.hex(":"),
        f"# a comment\n\n  {FRAME.hex()}  \n",
        base64.b64encode(FRAME).decode(),
    ],
)
def test_text_of_every_kind(text):
    (frame,) = read_text(text)
    assert bytes(frame.frame) == FRAME


def test_binary_and_many_frames():
    assert [bytes(f.frame) for f in read_octets(FRAME * 3)] == [FRAME] * 3
    assert [bytes(f.frame) for f in read_octets(f"{FRAME.hex()}\n{FRAME.hex()}{FRAME.hex()}\n".encode())] == [FRAME] * 3


def test_bare_exi_needs_its_schema():
    (frame,) = read_octets(EXI, "sap")
    assert (frame.schema, frame.frame.payload, frame.frame.payload_type) == ("sap", EXI, PayloadType.EXI)
    assert read_text(EXI.hex(), "iso20_dc")[0].frame.payload_type == PayloadType.DC
    with pytest.raises(InputError, match="name the protocol"):
        read_octets(EXI)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "nothing to decode"),
        (b"hello world!", "neither hex nor base64"),
        (b"01f", "3 hex digits, an odd number"),
        (b"0102", "neither V2GTP"),
        (b"\xff\xfe", "neither a capture nor V2GTP nor EXI: starts with fffe"),
        (b"zzzzz", "line 1: neither hex nor base64"),
    ],
)
def test_other_input_is_refused_with_its_place(octets, complaint):
    with pytest.raises(InputError, match=complaint):
        read_octets(octets, "sap")


def test_broken_frames_are_the_peers_fault():
    with pytest.raises(IncompleteFrameError):
        read_octets(FRAME[:-1])
    with pytest.raises(HeaderError):
        read_octets(FRAME + b"\0" * 8 + FRAME)


def test_xml_of_a_backend(opcp_data: Path):
    octets = (opcp_data / "items/opcp-cps-signedData-EMP99CQATEST001/signedData.xml").read_bytes()
    (frame,) = read_octets(octets, "iso2")
    (decoded,) = decode_frames([frame])
    assert (decoded.name, decoded.failed) == ("CertificateInstallationRes", False)
    assert str(decoded.signature).startswith("verifies with CN=CPS 2022.2 QA")
    sap = (
        b'<a:supportedAppProtocolRes xmlns:a="urn:iso:15118:2:2010:AppProtocol"><ResponseCode>OK_SuccessfulNegotiation'
    )
    sap += b"</ResponseCode></a:supportedAppProtocolRes>"
    (decoded,) = decode_frames(read_octets(sap, "sap"))
    assert decoded.message.ResponseCode == "OK_SuccessfulNegotiation"
    with pytest.raises(InputError, match="XML needs its schema"):
        read_octets(octets)


def test_files(tmp_path: Path):
    writer = CaptureWriter()
    writer.tcp(1.0, True, FRAME)
    path = tmp_path / "file"
    for octets, number in ((writer.octets(), 4), (FRAME, None), (FRAME.hex().encode(), None)):
        path.write_bytes(octets)
        (frame,), notes = read_file(path)
        assert (bytes(frame.frame), frame.number, notes) == (FRAME, number, [])
    with pytest.raises(RigError, match="No such file"):
        read_file(tmp_path / "missing")


@given(st.binary(max_size=60))
def test_any_octets_give_frames_or_a_documented_error(octets):
    with contextlib.suppress(PlugbenchError):
        read_octets(octets, "iso2")


def test_payload_types_of_schemas():
    names = ("sap", "iso2", "iso20_common", "iso20_acdp")
    assert [payload_type_of(name) for name in names] == [0x8001, 0x8001, 0x8002, 0x8005]
