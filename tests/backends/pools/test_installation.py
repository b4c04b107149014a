"""Requests of vehicles and the answers to them; hostile octets cost bounded work and give named refusals."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from backends.pools.editions import ISO2, ISO20
from backends.pools.installation import (
    CODES,
    MAX_OCTETS,
    InstallationRequest,
    RootId,
    answer,
    knows_root,
    read_request,
    refusal,
    session_id_of,
    verify_request,
)
from backends.refusals import Refusal, Refused
from tests.backends.chains import tree, vehicle
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message

KEY = ec.generate_private_key(ec.SECP256R1())
SESSION = bytes(range(8))


def request(references: int = 1) -> bytes:
    """A signed request of a vehicle."""
    root = X509IssuerSerialType(X509IssuerName="CN=V2G Root", X509SerialNumber=5)
    body = iso2.CertificateInstallationReqType(
        Id="ID1",
        OEMProvisioningCert=vehicle(tree(), "PLBPROVCERT000001"),
        ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=[root]),
    )
    message = iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=SESSION), Body=iso2.BodyType(BodyElement=body))
    sign_message(message, signer(KEY), P256)
    assert message.Header.Signature is not None
    message.Header.Signature.SignedInfo.Reference *= references
    return encode(message)


REQUEST = request()


def test_what_a_vehicle_sends() -> None:
    read = read_request(REQUEST, ISO2)
    assert (read.session_id, read.roots, read.maximum) == (SESSION, (RootId("CN=V2G Root", 5),), 1)
    verify_request(read, KEY.public_key())
    with pytest.raises(Refused) as refused:
        verify_request(read, ec.generate_private_key(ec.SECP256R1()).public_key())
    assert refused.value.reason is Refusal.REQUEST_SIGNATURE


@pytest.mark.parametrize("octets", [b"", b"\x80", bytes(MAX_OCTETS + 1), b"\x80" + bytes(MAX_OCTETS - 1), b"EXI"])
def test_what_is_no_request(octets: bytes) -> None:
    for namespace in (ISO2, ISO20):
        with pytest.raises(Refused) as refused:
            read_request(octets, namespace)
        assert refused.value.reason is Refusal.REQUEST_FORMAT


def test_another_message_is_no_request() -> None:
    message = iso2.V2G_Message(
        Header=iso2.MessageHeaderType(SessionID=SESSION),
        Body=iso2.BodyType(BodyElement=iso2.SessionSetupReqType(EVCCID=bytes(6))),
    )
    with pytest.raises(Refused, match="SessionSetupReq"):
        read_request(encode(message), ISO2)


def test_the_work_of_a_signature_is_bounded() -> None:
    with pytest.raises(Refused, match="more than 8 references"):
        verify_request(read_request(request(references=9), ISO2), KEY.public_key())


@given(st.data())
def test_changed_octets_give_named_refusals(data: st.DataObject) -> None:
    octets = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(octets[: data.draw(st.integers(1, len(octets)))])
    try:
        verify_request(read_request(cut, ISO2), KEY.public_key())
    except Refused as refused:
        assert refused.reason in (Refusal.REQUEST_FORMAT, Refusal.REQUEST_SIGNATURE)  # noqa: PT017


@given(st.binary(max_size=200), st.sampled_from([ISO2, ISO20]))
def test_random_octets_give_named_refusals(octets: bytes, namespace: str) -> None:
    try:
        read_request(octets, namespace)
    except Refused as refused:
        assert refused.reason is Refusal.REQUEST_FORMAT  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "serial", "known"),
    [
        ("CN=V2G Root CA QA G1,O=Hubject GmbH,C=DE,DC=V2G", 7, True),
        ("CN=V2G Root CA QA G1", 7, True),
        ("C=DE, cn = v2g root ca qa g1", 7, True),
        ("<Name(C=DE,O=Hubject GmbH,CN=V2G Root CA QA G1)>", 7, True),
        ("", 7, True),
        ("CN=Another Root", 7, False),
        ("CN=V2G Root CA QA G1,O=Hubject GmbH,C=DE,DC=V2G", 8, False),
    ],
)
def test_the_serial_number_decides_and_the_name_is_read_leniently(name: str, serial: int, known: bool) -> None:
    own = "CN=V2G Root CA QA G1, DC=V2G, O=Hubject GmbH, C=DE"
    assert knows_root([RootId("CN=x", 1), RootId(name, serial)], 7, own) is known


@given(st.binary(max_size=8))
def test_the_session_id_is_the_only_thing_that_changes(session_id: bytes) -> None:
    message = decode("iso2", REQUEST)
    message.Header.SessionID = bytes(8)  # type: ignore[attr-defined]
    stored = encode(message)
    answered = decode("iso2", answer(stored, ISO2, session_id, 0))
    assert answered.Header.SessionID == session_id  # type: ignore[attr-defined]
    answered.Header.SessionID = bytes(8)  # type: ignore[attr-defined]
    assert encode(answered) == stored


@pytest.mark.parametrize("reason", [*CODES, Refusal.CHAIN, Refusal.STATUS_UNKNOWN])
def test_every_refusal_can_be_told_to_a_vehicle(reason: Refusal) -> None:
    read = read_request(REQUEST, ISO2)
    told = decode("iso2", refusal(read, Refused(reason, "why"), 1), strict=True)
    assert told.Header.SessionID == SESSION  # type: ignore[attr-defined]
    assert told.Body.BodyElement.ResponseCode.startswith("FAILED_")  # type: ignore[attr-defined]
    later = InstallationRequest(ISO20, read.message, SESSION, b"", (), ())
    told = decode("iso20_common", refusal(later, Refused(reason), 1), strict=True)
    assert told.ResponseCode.startswith(("FAILED_", "WARNING_"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "octets"), [("", b""), ("00", b"\0"), ("69fc09895168c8B2", None), ("0", 0), ("xy", 0)]
)
def test_session_ids(text: str, octets: bytes | int | None) -> None:
    if octets == 0:
        with pytest.raises(Refused) as refused:
            session_id_of(text)
        assert refused.value.reason is Refusal.SESSION_ID_FORMAT
    else:
        assert session_id_of(text) == (bytes.fromhex(text) if octets is None else octets)
    for long in ("00" * 9, "0" * 15):
        with pytest.raises(Refused):
            session_id_of(long)
