"""Messages and sessions side by side."""

from __future__ import annotations

from v2g.compare import differences
from v2g.exi.codec import decode, encode
from v2g.session_decoder import SessionFrame, decode_frames
from v2g.v2gtp import Frame

SETUP = bytes.fromhex("809802000000000000000011d018004488cd115400")
SETUP_XSI_TYPE = bytes.fromhex("80980200000000000000001028600e20300089119a22a800")


def frames(*payloads: bytes, payload_type=0x8001):
    return list(decode_frames([SessionFrame(Frame(payload_type, p), schema="iso2") for p in payloads]))


def texts(one, other) -> list[str]:
    return [str(difference) for difference in differences(one, other)]


def test_equal_sessions_have_no_difference():
    assert texts(frames(SETUP, SETUP), frames(SETUP, SETUP)) == []


def test_a_changed_field_is_named_by_its_path():
    message = decode("iso2", SETUP)
    message.Body.BodyElement.EVCCID = b"\1"
    message.Header.SessionID = b"\7"
    assert texts(frames(SETUP), frames(encode(message))) == [
        "frame 1, SessionSetupReq/Header/SessionID: 0000000000000000 | 07",
        "frame 1, SessionSetupReq/Body/SessionSetupReq/EVCCID: 001122334455 | 01",
    ]


def test_equal_fields_in_other_bits_are_a_difference():
    (text,) = texts(frames(SETUP), frames(SETUP_XSI_TYPE))
    assert "SessionSetupReq, same fields, other bits from bit 95" in text
    (text,) = texts(frames(SETUP), frames(SETUP + b"\0"))
    assert "other bits from bit 168" in text


def test_sessions_that_part_are_compared_up_to_there():
    answer = bytes.fromhex("809802000000000000000011e0002505090d1115191c80")
    assert texts(frames(SETUP, answer, SETUP), frames(SETUP, SETUP)) == [
        "frame 2, message: SessionSetupRes | SessionSetupReq"
    ]
    assert texts(frames(SETUP), frames(SETUP, answer)) == ["frame 2, message: (absent) | SessionSetupRes"]


def test_absent_fields_lists_and_payload_types():
    one, other = decode("iso2", SETUP), decode("iso2", SETUP)
    other.Body.BodyElement = None
    (text,) = texts(frames(encode(one)), frames(encode(other, check=False)))
    assert "message: SessionSetupReq | V2G_Message with empty Body" in text
    (text,) = texts(frames(SETUP), frames(SETUP, payload_type=0x8002))
    assert text == "frame 1, payload type: 0x8001 | 0x8002"


def test_unreadable_frames_compare_by_their_octets():
    bad, worse = b"\x80\xff", b"\x80\xf0\x00"
    assert texts(frames(bad), frames(bad)) == []
    found = texts(frames(bad), frames(worse))
    assert [text.split(":")[0] for text in found] == ["frame 1, error", "frame 1, EXI"]
    assert found[1] == "frame 1, EXI: 80FF | 80F000"
