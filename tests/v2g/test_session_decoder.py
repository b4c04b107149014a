"""Sessions decoded in order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.capture import Sender
from v2g.exi.codec import encode
from v2g.exi.deviations import Untyped
from v2g.exi.dialects import LIBCBV2G
from v2g.exi.generated.sap.types import supportedAppProtocolRes
from v2g.render import plain, tree_lines
from v2g.sdp import SdpRequest
from v2g.session_decoder import DecodedFrame, SessionDecoder, SessionFrame, decode_frames
from v2g.v2gtp import Frame, SkippedFrame, parse_frame

SAP_REQ_ISO2 = "8000ebab9371d34b9b79d189a98989c1d191d191818999d26b9b3a232b30020000040040"
SETUP = "809802000000000000000011d018004488cd115400"


def frame(payload: str, payload_type=0x8001, **more) -> SessionFrame:
    return SessionFrame(Frame(payload_type, bytes.fromhex(payload)), **more)


def decoded(*frames: SessionFrame, **options) -> list[DecodedFrame]:
    return list(decode_frames(frames, **options))


def test_the_handshake_chooses_the_schema():
    one, two, three = decoded(frame(SAP_REQ_ISO2), frame("80400040"), frame(SETUP))
    assert [f.protocol for f in (one, two, three)] == ["sap", "sap", "iso2"]
    names = ["supportedAppProtocolReq", "supportedAppProtocolRes", "SessionSetupReq"]
    assert [f.name for f in (one, two, three)] == names
    assert [f.sender for f in (one, two, three)] == [Sender.VEHICLE, Sender.STATION, Sender.VEHICLE]


def test_each_stream_is_a_session_of_its_own():
    sent = [(SAP_REQ_ISO2, 0), ("80400040", 0), (SAP_REQ_ISO2, 1), (SETUP, 0)]
    frames = decoded(*(frame(payload, stream=stream) for payload, stream in sent))
    assert [f.protocol for f in frames] == ["sap", "sap", "sap", "iso2"]


def test_without_handshake_the_protocol_is_asked_for_not_guessed():
    (bad,) = decoded(frame(SETUP))
    assert bad.failed
    assert "name the protocol" in bad.error
    (good,) = decoded(frame(SETUP), protocol="iso2")
    assert good.name == "SessionSetupReq"


def test_a_refused_handshake_leaves_the_rest_unread():
    refused = encode(supportedAppProtocolRes(ResponseCode="Failed_NoNegotiation")).hex()
    *_, last = decoded(frame(SAP_REQ_ISO2), frame(refused), frame(SETUP))
    assert last.error == "the station refused the handshake"
    assert (last.protocol, last.name) == ("", "EXI")


def test_sdp_and_unknown_frames():
    request, broken, odd, skipped = decoded(
        frame("1000", 0x9000),
        frame("10", 0x9000),
        frame("00", 0xA001),
        SessionFrame(SkippedFrame(0x1234, b"odd")),
    )
    assert request.message == SdpRequest(0x10, 0)
    assert (request.protocol, request.sender) == ("sdp", "vehicle")
    assert "SDP_REQUEST has 2 octets" in broken.error
    assert "carries no EXI" in odd.error
    assert skipped.error == "skipped: payload type unknown 0x1234"


def test_strict_and_tolerant():
    (tolerant,) = decoded(frame(SETUP + "00"), protocol="iso2")
    assert [d.kind for d in tolerant.deviations] == ["trailing"]
    assert not tolerant.failed
    (strict,) = decoded(frame(SETUP + "00"), protocol="iso2", strict=True)
    assert strict.failed


def test_fragments_and_dialects():
    core = frame("80EC0202B4B21A40041111505090D0CC4C8CD05090CD4DBD3D00", schema="iso2", fragment=True)
    plain_form = frame("80EC02B4B21A041111505090D0CC4C8CD05090CD4D9E80", schema="iso2", fragment=True)
    (one,), (other,) = decoded(core), decoded(plain_form, dialect=LIBCBV2G)
    assert one.name == other.name == "eMAID"
    assert one.message == other.message
    (bad,) = decoded(frame("80FF", schema="iso2", fragment=True))
    assert bad.failed


@pytest.mark.parametrize(
    ("name", "protocols", "deviating"),
    [
        ("audi-dc-iso2", {"sdp": 2, "sap": 2, "iso2": 1490}, 0),
        ("vw-ac-iso2", {"sdp": 2, "sap": 2, "iso2": 16}, 0),
        ("tesla-3-din", {"sdp": 2, "sap": 2, "din": 4426}, 3),
    ],
)
def test_recorded_sessions_decode_completely(v2g_rows, name, protocols, deviating):
    rows = v2g_rows(name)
    frames = [SessionFrame(parse_frame(bytes.fromhex(row["hex"])), stream=row.get("stream")) for row in rows]
    found = decoded(*frames)
    assert [f.error for f in found if f.failed] == []
    assert {p: sum(f.protocol == p for f in found) for p in protocols} == protocols
    assert sum(bool(f.deviations) for f in found) == deviating
    senders = {"ev->secc": "vehicle", "secc->ev": "station"}
    assert [f.sender for f in found] == [senders[row["direction"]] for row in rows]


@pytest.mark.parametrize("session", ["v2_dc_pnc secc", "v2_ac_pnc_ci secc", "v20_dc_tls secc"])
def test_signatures_are_checked_with_the_certificates_of_the_session(v2g_rows, session):
    schemas = {"AppProtocol": "sap", "2:2013:MsgDef": "iso2", "CommonMessages": "iso20_common"}
    frames = []
    for row in v2g_rows("exificient-pairs"):
        schema = next((s for end, s in schemas.items() if row["protocol"].endswith(end)), None)
        top = next(iter(row["decoded"].values()))
        if row["source"].endswith(session) and schema and ("Header" in top or schema == "sap"):
            frames.append(frame(row["hex"], schema=schema))
    reports = [f.signature for f in decoded(*frames) if f.signature is not None]
    assert len(reports) >= 1
    assert all(report.verified is not None for report in reports), [str(report) for report in reports]


def test_a_signature_that_cannot_be_checked_says_what_is_missing(v2g_rows):
    row = next(r for r in v2g_rows("exificient-pairs") if "SignatureValue" in str(r) and "SalesTariff" in str(r))
    (one,) = decoded(frame(row["hex"], schema="iso2"))
    assert str(one.signature) == "not checked: the session does not show the mobility operator's sub-CAs"
    assert not one.failed


def test_a_signature_that_fails_is_named(v2g_rows):
    rows = v2g_rows("exificient-pairs")
    row = next(r for r in rows if "V2G_Message" in r["decoded"] and "'CertificateInstallationReq': {" in str(r))
    octets = bytearray(bytes.fromhex(row["hex"]))
    octets[-3] ^= 8
    (one,) = decoded(SessionFrame(Frame(0x8001, bytes(octets)), schema="iso2"))
    assert one.failed
    assert str(one.signature).startswith("DOES NOT VERIFY: CertificateInstallationReq: reference '#id1'")
    assert "CN=OEMProvCert" in str(one.signature)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_changed_octets_are_shown_or_refused_never_a_crash(v2g_rows, data):
    """Sessions with flipped bits and cut ends decode to something that can be shown."""
    rows = v2g_rows("exificient-pairs")
    start = data.draw(st.integers(0, len(rows) - 4))
    decoder = SessionDecoder()
    for row in rows[start : start + 4]:
        octets = bytearray(bytes.fromhex(row["hex"]))
        for _ in range(data.draw(st.integers(0, 3))):
            bit = data.draw(st.integers(8, len(octets) * 8 - 1))
            octets[bit // 8] ^= 1 << bit % 8
        protocol = row["protocol"]
        schema = "xmldsig" if "xmldsig" in protocol else protocol if data.draw(st.booleans()) else None
        if data.draw(st.booleans()):
            del octets[data.draw(st.integers(1, len(octets))) :]
        found = decoder.decode(SessionFrame(Frame(0x8001, bytes(octets)), schema=schema))
        assert found.name
        if found.message is not None:
            list(tree_lines(plain(found.message)))


def test_a_handshake_with_text_for_its_schema_id_chooses_nothing():
    answer = supportedAppProtocolRes(ResponseCode="OK_SuccessfulNegotiation", SchemaID=Untyped("one"))
    *_, chosen, last = decoded(frame(SAP_REQ_ISO2), frame(encode(answer, check=False).hex()), frame(SETUP))
    assert [d.kind for d in chosen.deviations] == ["untyped value"]
    assert "chose SchemaID -1" in last.error
