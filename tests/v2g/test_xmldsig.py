"""Signatures made here: every suite, every signed message, every way to break one."""

from __future__ import annotations

import asyncio
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from ports.errors import LocalError
from v2g.exi import dialects
from v2g.exi.codec import decode, encode, encode_fragment
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common import types as iso20
from v2g.exi.generated.iso20_common_types.types import MessageHeaderType
from v2g.exi.generated.xmldsig.types import SignatureType
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet
from v2g.signature_suites import ED448, ISO2_SUITES, ISO20_SUITES, P256, P521, signer
from v2g.signed_elements import SIGNED, Named, elements_of, required_elements
from v2g.xmldsig import (
    SIGNED_INFO_IN_MESSAGE_GRAMMAR,
    SignatureError,
    prepare_message,
    sign_elements,
    sign_message,
    verify_elements,
    verify_message,
)

KeyType = iso2.ContractSignatureEncryptedPrivateKeyType
KEYS = {
    P256: ec.generate_private_key(ec.SECP256R1()),
    P521: ec.generate_private_key(ec.SECP521R1()),
    ED448: ed448.Ed448PrivateKey.generate(),
}


def iso2_message(body) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=b"\1" * 8), Body=iso2.BodyType(BodyElement=body))


def authorization() -> iso2.V2G_Message:
    return iso2_message(iso2.AuthorizationReqType(GenChallenge=b"c" * 16))


def installation() -> iso2.V2G_Message:
    chain = iso2.CertificateChainType(Certificate=b"cert")
    contract = iso2.CertificateChainType(
        Id="id1", Certificate=b"leaf", SubCertificates=iso2.SubCertificatesType(Certificate=[b"sub2", b"sub1"])
    )
    return iso2_message(
        iso2.CertificateInstallationResType(
            ResponseCode="OK",
            SAProvisioningCertificateChain=chain,
            ContractSignatureCertChain=contract,
            ContractSignatureEncryptedPrivateKey=iso2.ContractSignatureEncryptedPrivateKeyType(
                Id="id2", value=bytes(48)
            ),
            DHpublickey=iso2.DiffieHellmanPublickeyType(Id="id3", value=bytes(65)),
            eMAID=iso2.EMAIDType(Id="id4", value="DEABCC123ABC56"),
        )
    )


def authorization20() -> iso20.AuthorizationReqType:
    chain = iso20.ContractCertificateChainType(
        Certificate=b"leaf", SubCertificates=iso20.SubCertificatesType(Certificate=[b"sub2"])
    )
    mode = iso20.PnC_AReqAuthorizationModeType(Id="id7", GenChallenge=b"c" * 16, ContractCertificateChain=chain)
    return iso20.AuthorizationReqType(
        Header=MessageHeaderType(SessionID=b"\1" * 8, TimeStamp=1),
        SelectedAuthorizationService="PnC",
        PnC_AReqAuthorizationMode=mode,
    )


def signed(message, suite=P256):
    sign_message(message, signer(KEYS[suite]), suite)
    return message


def verify(message, suite=P256, **more):
    return verify_message(message, KEYS[suite].public_key(), **more)


@pytest.mark.parametrize("suite", [P256, P521, ED448], ids=lambda s: s.name)
@pytest.mark.parametrize("make", [authorization, installation, authorization20])
def test_what_is_signed_verifies_after_the_wire(make, suite):
    message = signed(make(), suite)
    again = decode(type(message).__module__.split(".")[-2], encode(message))
    verified = verify(again, suite)
    assert verified.suite is suite
    assert verified.dialects == []
    assert {r.name for r in verified.references} == {found.name for found in required_elements(message)}


def test_elements_without_id_get_one_that_is_free():
    message = signed(authorization())
    assert message.Body.BodyElement.Id == "id1"
    start = iso2.RelativeTimeIntervalType(start=0)
    entry = iso2.PMaxScheduleEntryType(TimeInterval=start, PMax=iso2.PhysicalValueType(Multiplier=0, Unit="W", Value=1))
    prices = [iso2.SalesTariffEntryType(TimeInterval=start)]
    tuples = [
        iso2.SAScheduleTupleType(
            SAScheduleTupleID=number,
            PMaxSchedule=iso2.PMaxScheduleType(PMaxScheduleEntry=[entry]),
            SalesTariff=iso2.SalesTariffType(Id=identifier, SalesTariffID=number, SalesTariffEntry=prices),
        )
        for number, identifier in ((1, None), (2, "id1"))
    ]
    answer = iso2.ChargeParameterDiscoveryResType(
        ResponseCode="OK",
        EVSEProcessing="Finished",
        SASchedules=iso2.SAScheduleListType(SAScheduleTuple=tuples),
        EVSEChargeParameter=None,
    )
    message = signed(iso2_message(answer))
    assert [r.id for r in verify(message).references] == ["id2", "id1"]


def test_a_token_may_answer_raw_or_der():
    key = KEYS[P256]
    message = authorization()
    asked = []

    def token(octets: bytes) -> bytes:
        asked.append(octets)
        return P256.raw_value(key.sign(octets, ec.ECDSA(P256.digest())))

    sign_message(message, token, P256)
    assert verify(message)
    assert asked == [encode_fragment("xmldsig", "SignedInfo", message.Header.Signature.SignedInfo)]


async def test_a_token_may_take_its_time():
    """The signer of a rig is asynchronous: what to sign and the signature are two steps."""
    message = authorization()
    unsigned = prepare_message(message, P256)
    await asyncio.sleep(0)
    message.Header.Signature = unsigned.complete(signer(KEYS[P256])(unsigned.octets))
    assert verify(message)
    with pytest.raises(LocalError, match="no signature of ECDSA P-256"):
        unsigned.complete(b"timeout")


def test_a_signed_info_in_the_grammar_of_the_message_is_accepted_and_named():
    message = authorization()
    body = Named("AuthorizationReq", message.Body.BodyElement)
    body.element.Id = "id1"

    def other_form(octets: bytes) -> bytes:
        draft = sign_elements([body], lambda _: bytes(64), P256, "iso2").SignedInfo
        return signer(KEYS[P256])(encode_fragment("iso2", "SignedInfo", draft))

    message.Header.Signature = sign_elements([body], other_form, P256, "iso2")
    assert verify(message).dialects == [SIGNED_INFO_IN_MESSAGE_GRAMMAR]


def test_an_emaid_of_libcbv2g_is_accepted_and_named():
    message = signed(installation())
    emaid = message.Body.BodyElement.eMAID
    info = message.Header.Signature.SignedInfo
    octets = encode_fragment("iso2", "eMAID", emaid, dialect=dialects.LIBCBV2G)
    assert octets.hex().upper() == "80EC02B4B21A041111505090D0CC4C8CD05090CD4D9E80"
    reference = next(r for r in info.Reference if r.URI == "#id4")
    reference.DigestValue = P256.hash(octets)
    value = signer(KEYS[P256])(encode_fragment("xmldsig", "SignedInfo", info))
    message.Header.Signature.SignatureValue.value = P256.raw_value(value)
    verified = verify(message)
    assert verified.dialects == ["eMAID as libcbv2g writes it"]
    assert [r.dialect for r in verified.references] == ["standard"] * 3 + ["eMAID as libcbv2g writes it"]


def put(path: str, value):
    """Set a field, by its path from the message; R is its only reference."""

    def change(message):
        *steps, last = re.sub("^R[.]", "Header.Signature.SignedInfo.Reference.", path).split(".")
        for step in steps:
            found = getattr(message, step)
            message = found[0] if isinstance(found, list) else found
        setattr(message, last, value)

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (put("Header.Signature", None), "carries no signature"),
        (put("Header", None), "carries no signature"),
        (
            put("Body.BodyElement.GenChallenge", b"x" * 16),
            r"reference '#id1' \(AuthorizationReq\): the digest does not",
        ),
        (put("Body.BodyElement.Id", "id2"), "reference '#id1' names no element; Ids: id2"),
        (put("Body.BodyElement.Id", None), "names no element; Ids: none"),
        (put("Body.BodyElement", None), "names no element"),
        (put("Body", None), "names no element"),
        (put("R.URI", "id1"), "reference 'id1' names no element"),
        (put("R.URI", None), "reference '' names no element"),
        (put("R.DigestValue", bytes(32)), "the digest does not match"),
        (put("R.DigestValue", None), "no usable DigestValue"),
        (put("R.DigestMethod", None), "no usable DigestMethod"),
        (put("R.DigestMethod.Algorithm", "md5"), "DigestMethod 'md5', expected"),
        (put("R.Transforms.Transform.Algorithm", "xslt"), "transform 'xslt'"),
        (put("Header.Signature.SignedInfo.Reference", []), "has no reference"),
        (put("Header.Signature.SignedInfo.Id", "x"), "the signature value does not verify"),
        (put("Header.Signature.SignedInfo.CanonicalizationMethod.Algorithm", "c14n"), "'c14n', expected"),
        (put("Header.Signature.SignedInfo.CanonicalizationMethod", None), "no usable CanonicalizationMethod"),
        (put("Header.Signature.SignedInfo.SignatureMethod.Algorithm", "none"), "SignatureMethod 'none'"),
        (put("Header.Signature.SignatureValue.value", bytes(64)), "does not verify"),
        (put("Header.Signature.SignatureValue.value", b"\xff" * 64), "does not verify"),
        (put("Header.Signature.SignatureValue.value", bytes(63)), "has 63 octets, ECDSA P-256 SHA-256 has 64"),
        (put("Header.Signature.SignatureValue", None), "no usable SignatureValue"),
        (put("Header.Signature.SignedInfo", None), "no usable SignedInfo"),
    ],
)
def test_every_way_to_break_a_signature_is_refused_and_named(change, complaint):
    message = signed(authorization())
    change(message)
    with pytest.raises(SignatureError, match=complaint):
        verify(message)


def test_a_signature_that_leaves_an_element_out_is_refused():
    message = installation()
    elements = [found for found in required_elements(message) if found.name != "DHpublickey"]
    message.Header.Signature = sign_elements(elements, signer(KEYS[P256]), P256, "iso2")
    with pytest.raises(SignatureError, match="CertificateInstallationRes: the signature does not cover DHpublickey"):
        verify(message)


def test_an_id_that_stands_twice_is_refused():
    message = signed(installation())
    message.Body.BodyElement.SAProvisioningCertificateChain.Id = "id1"
    with pytest.raises(SignatureError, match="Id 'id1' stands twice"):
        verify(message)


def test_only_accepted_suites_pass():
    with pytest.raises(SignatureError, match=r"accepted: http://www\.w3\.org/2001/04/xmldsig-more#ecdsa-sha512"):
        verify(signed(authorization20()), suites=ISO20_SUITES)
    with pytest.raises(SignatureError, match="accepted"):
        verify(signed(authorization(), P521), P521, suites=ISO2_SUITES)


def test_a_key_of_another_curve_is_named():
    with pytest.raises(SignatureError, match="does not fit the key"):
        verify(signed(authorization()), P521)


def test_a_missing_transform_is_accepted_because_it_changes_nothing():
    body = Named("AuthorizationReq", authorization().Body.BodyElement)
    body.element.Id = "id1"
    info = sign_elements([body], lambda _: bytes(64), P256, "iso2").SignedInfo
    info.Reference[0].Transforms = None
    value = P256.raw_value(signer(KEYS[P256])(encode_fragment("xmldsig", "SignedInfo", info)))
    signature = sign_elements([body], lambda _: value, P256, "iso2")
    signature = SignatureType(SignedInfo=info, SignatureValue=signature.SignatureValue)
    assert verify_elements(signature, [body], KEYS[P256].public_key(), "iso2").references[0].id == "id1"


def test_our_own_mistakes_are_local_errors():
    with pytest.raises(LocalError, match="SessionStopReq has no element that is signed"):
        signed(iso2_message(iso2.SessionStopReqType(ChargingSession="Terminate")))
    message = authorization()
    message.Header = None
    with pytest.raises(LocalError, match="no Header"):
        signed(message)
    with pytest.raises(LocalError, match="has no Id"):
        sign_elements([Named("AuthorizationReq", authorization().Body.BodyElement)], bytes, P256, "iso2")


@pytest.mark.parametrize("suite", [P256, P521, ED448], ids=lambda s: s.name)
@pytest.mark.parametrize(("schema", "name"), [(schema, name) for schema in SIGNED for name in SIGNED[schema]])
def test_random_messages_of_every_signed_kind(schema, name, suite):
    """Made from the schema: sign, send, verify; then change something that is signed."""
    source = RandomMessages(SchemaSet(schema), seed=sum(map(ord, name)))
    done = 0
    while done < 5:
        message = random_message(source, schema, name)
        if not required_elements(message):
            continue  # AuthorizationReq of -20 with external identification, no SalesTariff, ...
        done += 1
        signed(message, suite)
        again = decode(schema, encode(message))
        assert verify(again, suite).dialects == []
        required_elements(again)[0].element.Id += "x"
        with pytest.raises(SignatureError):
            verify(again, suite)


def random_message(source: RandomMessages, schema: str, name: str):
    body = source.value(f"{schema}.{name}Type")
    message = iso2_message(body) if schema == "iso2" else body
    message.Header.Signature = None
    for number, (_, element) in enumerate(elements_of(message)):
        if hasattr(element, "Id"):
            element.Id = f"i{number}"
    return message
