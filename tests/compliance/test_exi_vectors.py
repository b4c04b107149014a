"""Single streams made by EXIficient core (github.com/EXIficient/exificient) and libcbv2g, event by event.

The -2 vectors show each event of the second level (EXI 1.0, 8.5.4.4); the eMAID fragments show the dialects of
EXIficient and of EVerest/libcbv2g (EVerest/cbexigen issue 60).
"""

from __future__ import annotations

import pytest

from v2g.exi import codec
from v2g.exi.deviations import Untyped, deviations
from v2g.exi.dialects import LIBCBV2G, STANDARD, Dialect
from v2g.exi.errors import StrictError
from v2g.exi.generated.iso2 import types
from v2g.exi.schemas import SchemaSet

START = "8098020000000000000000"
EVCCID = bytes.fromhex("001122334455")
SETUP = types.SessionSetupReqType(EVCCID=EVCCID)

# (octets after the session header, body element, kinds of deviations)
SECOND_LEVEL = {
    "plain": ("11d018004488cd115400", SETUP, []),
    "xsi:type": ("11d9600e20300089119a22a800", SETUP, ["xsi:type"]),
    "BodyElement xsi:type": ("1028600e20300089119a22a800", SETUP, ["xsi:type"]),
    "xsi:nil": ("11da80", types.SessionSetupReqType(EVCCID=None), ["xsi:nil"]),  # type: ignore[arg-type]
    "EVCCID missing": ("11d800", types.SessionSetupReqType(EVCCID=None), ["missing"]),  # type: ignore[arg-type]
    "EVCCID XYZ": ("11d702ac2cad40", types.SessionSetupReqType(EVCCID=Untyped("XYZ")), ["untyped value"]),  # type: ignore[arg-type]
    "EVCCID empty, as EE": ("11d400", types.SessionSetupReqType(EVCCID=b""), ["empty content"]),
    "EVCCID empty, as value": ("11d00000", types.SessionSetupReqType(EVCCID=b""), []),
    "attribute": ("11db104666f6f0331018004488cd115400", SETUP, ["attribute"]),
    "text": ("11de05616263018004488cd11540", SETUP, ["text"]),
    "response": ("11e0002505090d1115191c80", types.SessionSetupResType(ResponseCode="OK", EVSEID="ABCDEFG"), []),
    "EVSEID missing": ("11e00800", types.SessionSetupResType(ResponseCode="OK", EVSEID=None), ["missing"]),  # type: ignore[arg-type]
    "ResponseCode NOPE": (
        "11e7032727a822c02505090d1115191c80",
        types.SessionSetupResType(ResponseCode=Untyped("NOPE"), EVSEID="ABCDEFG"),  # type: ignore[arg-type]
        ["untyped value"],
    ),
    "empty request": ("1008", types.AuthorizationReqType(), []),
    "Id": ("10000de100", types.AuthorizationReqType(Id="x"), []),
    "Id and text": ("10000de2c1585898d0", types.AuthorizationReqType(Id="x"), ["text"]),
    "empty body": ("1230", None, []),
}


@pytest.mark.parametrize("name", SECOND_LEVEL)
def test_second_level(name: str) -> None:
    tail, body, kinds = SECOND_LEVEL[name]
    octets = bytes.fromhex(START + tail)
    message = codec.decode(SchemaSet.ISO2, octets, check=False)
    assert isinstance(message, types.V2G_Message)
    assert message.Body.BodyElement == body
    assert [found.kind for found in deviations(message)] == kinds
    assert codec.encode(message, check=False) == octets
    if kinds:
        with pytest.raises(StrictError, match=kinds[0]):
            codec.decode(SchemaSet.ISO2, octets, strict=True)


@pytest.mark.parametrize("name", ["plain", "EVCCID missing", "EVCCID XYZ", "EVCCID empty, as value", "EVSEID missing"])
def test_made_by_hand(name: str) -> None:
    """What a tester builds gives the octets of the reference too."""
    tail, body, _ = SECOND_LEVEL[name]
    session = types.MessageHeaderType(SessionID=bytes(8))
    message = types.V2G_Message(Header=session, Body=types.BodyType(BodyElement=body))
    assert codec.encode(message, check=False).hex() == START + tail


def test_bits_of_deviations() -> None:
    message = codec.decode(SchemaSet.ISO2, bytes.fromhex(START + "11d702ac2cad40"), check=False)
    (found,) = deviations(message)
    assert (found.path, found.bit) == ("V2G_Message/Body/SessionSetupReq/EVCCID", 101)


@pytest.mark.parametrize(
    ("dialect", "octets"),
    [
        (STANDARD, "80EC0202B4B21A40041111505090D0CC4C8CD05090CD4DBD3D00"),
        (LIBCBV2G, "80EC02B4B21A041111505090D0CC4C8CD05090CD4D9E80"),
    ],
)
def test_emaid_fragment(dialect: Dialect, octets: str) -> None:
    value = types.EMAIDType(Id="id4", value="DEABCC123ABC56")
    assert codec.encode_fragment(SchemaSet.ISO2, "eMAID", value, dialect=dialect) == bytes.fromhex(octets)
    assert codec.decode_fragment(SchemaSet.ISO2, bytes.fromhex(octets), dialect=dialect) == ("eMAID", value)


def test_handshake() -> None:
    """The request for ISO 15118-2 and the answer, as EcoG-io/iso15118 exchanges them."""
    request = bytes.fromhex("8000ebab9371d34b9b79d189a98989c1d191d191818999d26b9b3a232b30020000040040")
    message = codec.decode(SchemaSet.SAP, request)
    assert message.AppProtocol[0].ProtocolNamespace == "urn:iso:15118:2:2013:MsgDef"  # type: ignore[attr-defined]
    assert codec.encode(message) == request
    assert codec.encode(codec.decode(SchemaSet.SAP, bytes.fromhex("80400040"))) == bytes.fromhex("80400040")


# event codes of signed fragments and documents as they stand in EVerest/libcbv2g (lib/cbv2g/iso_2, iso_20)
FRAGMENT_CODES = {
    SchemaSet.ISO2: {
        "AuthorizationReq": 4,
        "CertificateInstallationReq": 15,
        "CertificateUpdateReq": 17,
        "ContractSignatureCertChain": 33,
        "ContractSignatureEncryptedPrivateKey": 34,
        "DHpublickey": 45,
        "MeteringReceiptReq": 121,
        "SalesTariff": 174,
        "eMAID": 236,
    },
    SchemaSet.XMLDSIG: {"SignedInfo": 32},
    SchemaSet.ISO20_COMMON: {
        "AbsolutePriceSchedule": 0,
        "CertificateInstallationReq": 27,
        "MeteringConfirmationReq": 119,
        "OEMProvisioningCertificateChain": 128,
        "PnC_AReqAuthorizationMode": 151,
        "SignedInfo": 230,
        "SignedInstallationData": 231,
        "SignedMeteringData": 232,
    },
}
DOCUMENT_CODES = {
    SchemaSet.SAP: {"supportedAppProtocolReq": 0, "supportedAppProtocolRes": 1},
    SchemaSet.DIN: {"V2G_Message": 77},
    SchemaSet.ISO2: {"V2G_Message": 76},
    SchemaSet.ISO20_COMMON: {"AuthorizationReq": 0, "SessionSetupReq": 35, "SessionStopReq": 37},
    SchemaSet.ISO20_AC: {"AC_ChargeLoopReq": 2},
    SchemaSet.ISO20_DC: {"DC_ChargeLoopReq": 13},
    SchemaSet.ISO20_WPT: {"WPT_AlignmentCheckReq": 25},
    SchemaSet.ISO20_ACDP: {"ACDP_ConnectReq": 0, "ACDP_ConnectRes": 1, "ACDP_DisconnectReq": 2},
}


def test_event_codes() -> None:
    from v2g.exi.schemas import schema

    for name, codes in FRAGMENT_CODES.items():
        found = [root.name for root in schema(name).fragments]
        assert {element: found.index(element) for element in codes} == codes
    for name, codes in DOCUMENT_CODES.items():
        found = [root.name for root in schema(name).documents]
        assert {element: found.index(element) for element in codes} == codes
