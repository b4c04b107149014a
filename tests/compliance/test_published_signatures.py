"""Every published V2G signature verifies, and no flipped bit of what it covers goes unnoticed.

* OPCP examples (hubject/opcp, CC BY-SA 4.0): a CertificateInstallationReq and -Res as EXI, `signedData` as XML.
* RISE-V2G test data (V2GClarity/RISE-V2G RISE-V2G-Certificates/signature-creation-testdata, MIT): fragments, digests,
  SignedInfo, a signed message; also its twin, signed over fragments in the wrong namespace, which must not verify.
* Live sessions of the PyPI package iso15118 0.31.2 (EcoG-io/iso15118, Apache-2.0), encoded by EXIficient, signed by
  pyca/cryptography: AuthorizationReq, CertificateInstallationReq and -Res, SalesTariff of -2; AuthorizationReq of -20.
* EVerest's signature test (EVerest/everest-core modules/EVSE/EvseV2G/tests/openssl_test.cpp, Apache-2.0): a fragment
  and the SignedInfo that refers to it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ports.errors import PeerError
from v2g.certificates import load, public_key
from v2g.compare import _between
from v2g.exi.codec import decode, decode_fragment, encode, encode_fragment
from v2g.exi.schemas import SchemaSet
from v2g.exi.xml_form import to_xml
from v2g.message_xml import from_xml
from v2g.render import plain
from v2g.signed_elements import body_of, elements_of, required_elements
from v2g.xmldsig import SignatureError, verify_message

DATA = Path(__file__).parents[3] / "shared" / "data"
ITEMS, V2G = DATA / "opcp" / "items", DATA / "v2g"
if not (ITEMS.is_dir() and V2G.is_dir()):
    pytest.skip(f"public test data {DATA} is absent", allow_module_level=True)

SCHEMAS = {"urn:iso:15118:2:2013:MsgDef": "iso2", "urn:iso:std:iso:15118:-20:CommonMessages": "iso20_common"}
FOUR = {"ContractSignatureCertChain", "ContractSignatureEncryptedPrivateKey", "DHpublickey", "eMAID"}
# fields outside the signature; a flipped bit there is not its business
UNSIGNED = {
    "AuthorizationReq": {
        "Header/SessionID",
        "Header/TimeStamp",
        "SelectedAuthorizationService",
        "EIM_AReqAuthorizationMode",
    },
    "ChargeParameterDiscoveryRes": {
        "Header/SessionID",
        "ResponseCode",
        "EVSEProcessing",
        "SAScheduleTupleID",
        "PMaxSchedule",
        "EVSEChargeParameter",
    },
    "CertificateInstallationReq": {"Header/SessionID"},
    "CertificateInstallationRes": {"Header/SessionID", "ResponseCode", "SAProvisioningCertificateChain"},
}


class Published(NamedTuple):
    name: str
    schema: str
    octets: bytes
    certificate: bytes


@cache
def live_rows() -> list[dict[str, Any]]:
    with gzip.open(V2G / "exificient-pairs.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@cache
def published() -> list[Published]:
    """All signed EXI messages with the certificate that signed them."""
    request, answer = "opcp-ccp-req-hubjectopenpnc0001", "opcp-ccp-res-EMP99CQAPAB004"
    cps = f"{answer}/SAProvisioningCertificateChain.leaf.der"
    return [
        Published("opcp-req", "iso2", read(f"{request}/message.exi"), read(f"{request}/oem_leaf.der")),
        Published("opcp-res", "iso2", read(f"{answer}/message.exi"), read(cps)),
        *live(),
    ]


def live() -> list[Published]:
    """The signed messages of live sessions; all sessions use one set of certificates."""
    messages = []
    for number, row in enumerate(live_rows()):
        schema = SCHEMAS.get(row["protocol"])
        top = next(iter(row["decoded"].values()))
        if schema is not None and "Header" in top:
            octets = bytes.fromhex(row["hex"])
            messages.append((f"live-{number}", schema, octets, decode(schema, octets)))
    bodies = {body.name: body.element for *_, message in messages if (body := body_of(message))}
    contract = bodies["PaymentDetailsReq"].ContractSignatureCertChain
    found = []
    for label, schema, octets, message in messages:
        name, body = body_of(message)
        if message.Header.Signature is None:
            continue
        certificate = {
            "AuthorizationReq": lambda _: contract.Certificate,
            "ChargeParameterDiscoveryRes": lambda _: contract.SubCertificates.Certificate[0],
            "CertificateInstallationReq": lambda body: body.OEMProvisioningCert,
            "CertificateInstallationRes": lambda body: body.SAProvisioningCertificateChain.Certificate,
        }[name](body)
        found.append(Published(f"{label}-{name}", schema, octets, certificate))
    return found


def read(path: str) -> bytes:
    return (ITEMS / path).read_bytes()


def key_of(certificate: bytes):
    return public_key(load(certificate))


def test_every_published_message_verifies():
    assert len(published()) == 30
    for message in published():
        decoded = decode(message.schema, message.octets)
        assert encode(decoded) == message.octets, message.name
        verified = verify_message(decoded, key_of(message.certificate))
        assert verified.dialects == [], message.name
        names = {reference.name for reference in verified.references}
        assert names >= {found.name for found in required_elements(decoded)}


def test_every_key_verifies_only_its_own():
    keys = {message.certificate for message in published()}
    assert len(keys) == 6
    for message in published()[:16]:
        decoded = decode(message.schema, message.octets)
        for certificate in keys - {message.certificate}:
            with pytest.raises(SignatureError, match="does not verify with the key"):
                verify_message(decoded, key_of(certificate))


def test_the_four_elements_of_an_installation_are_covered():
    decoded = decode("iso2", published()[1].octets)
    verified = verify_message(decoded, key_of(published()[1].certificate))
    assert {reference.name for reference in verified.references} == FOUR
    assert [reference.id for reference in verified.references] == ["ID2", "ID1", "ID4", "ID3"]


def smallest(kind: str, schema: str) -> Published:
    return min(
        (m for m in published() if m.schema == schema and kind in (m.name, m.name.rpartition("-")[2])),
        key=lambda m: len(m.octets),
    )


FLIPPED = [
    # message, schema, every how many bits (prime, so that all positions in an octet come up)
    ("AuthorizationReq", "iso2", 5),
    ("ChargeParameterDiscoveryRes", "iso2", 5),
    ("CertificateInstallationReq", "iso2", 7),
    ("opcp-req", "iso2", 7),
    ("CertificateInstallationRes", "iso2", 101),
    ("opcp-res", "iso2", 101),
    ("AuthorizationReq", "iso20_common", 19),
]


@pytest.mark.parametrize(("kind", "schema", "step"), FLIPPED)
def test_no_flipped_bit_of_what_is_signed_goes_unnoticed(kind, schema, step):
    assert_no_flipped_bit_verifies(smallest(kind, schema), step)


@pytest.mark.fuzz
@pytest.mark.parametrize(("kind", "schema"), [(kind, schema) for kind, schema, _ in FLIPPED])
def test_every_single_flipped_bit_is_noticed(kind, schema):
    assert_no_flipped_bit_verifies(smallest(kind, schema), 1)


def assert_no_flipped_bit_verifies(message: Published, step: int) -> None:
    """Every `step`-th bit, the last octets all: it makes the message unreadable or unverified, or it is unsigned."""
    original, key = decode(message.schema, message.octets), key_of(message.certificate)
    total = len(message.octets) * 8
    refused = outside = 0
    for bit in sorted({*range(0, total, step), *range(total - 32, total)}):
        octets = bytearray(message.octets)
        octets[bit // 8] ^= 0x80 >> bit % 8
        try:
            decoded = decode(message.schema, bytes(octets))
            verify_message(decoded, key)
        except PeerError:
            refused += 1
            continue
        outside += 1
        changed = [path for path, _, _ in _between("", plain(original), plain(decoded))]
        assert all(any(name in path for name in UNSIGNED[body_of(original).name]) for path in changed), (bit, changed)
        assert signed_parts(decoded) == signed_parts(original), bit
    assert refused > outside


def signed_parts(message):
    signature = message.Header.Signature
    return [*required_elements(message), signature.SignedInfo, signature.SignatureValue]


def test_signed_data_of_a_provisioning_service_verifies_as_xml_and_as_exi():
    message = from_xml(read("opcp-cps-signedData-EMP99CQATEST001/signedData.xml"), "iso2")
    certificate = message.Body.BodyElement.SAProvisioningCertificateChain.Certificate
    assert {r.name for r in verify_message(message, key_of(certificate)).references} == FOUR
    message.Header.SessionID = bytes(8)  # which it has none of, and the signature does not cover
    again = decode("iso2", encode(message))
    assert {r.name for r in verify_message(again, key_of(certificate)).references} == FOUR
    assert from_xml(to_xml(SchemaSet.ISO2, "V2G_Message", again).encode(), "iso2") == again


def test_the_fragments_of_rise_v2g_are_reproduced_octet_by_octet():
    readme = read("rise-v2g-kat/README.md").decode().split("INCORRECT")[0]
    fragments = [bytes.fromhex(text) for text in re.findall(r"EXI:\s+([0-9A-F]+)", readme)]
    digests = re.findall(r"SHA-256:\s+([0-9A-F]{64})", readme)
    message = from_xml(read("rise-v2g-kat/CertificateInstallationRes-MsgBody-namespace.xml"), "iso2")
    body = message.Body.BodyElement
    for name, expected, digest in zip(
        ("ContractSignatureCertChain", "ContractSignatureEncryptedPrivateKey", "DHpublickey", "eMAID"),
        fragments,
        digests,
        strict=False,
    ):
        assert encode_fragment("iso2", name, getattr(body, name)) == expected
        assert hashlib.sha256(expected).hexdigest().upper() == digest
    assert encode_fragment("xmldsig", "SignedInfo", message.Header.Signature.SignedInfo) == fragments[4]
    assert len(fragments) == 5


def test_the_signed_message_of_rise_v2g_verifies_and_its_wrong_twin_does_not():
    key = key_of(read("rise-v2g-kat/cpsLeafCert.pem"))
    good = from_xml(read("rise-v2g-kat/CertificateInstallationRes-MsgBody-namespace.xml"), "iso2")
    assert {r.name for r in verify_message(good, key).references} == FOUR
    twin = from_xml(read("rise-v2g-kat/CertificateInstallationRes-empty-namespace.xml"), "iso2")
    with pytest.raises(
        SignatureError, match=r"CertificateInstallationRes: reference '#id2' .*the digest does not match"
    ):
        verify_message(twin, key)


def test_the_fragments_of_everest_belong_together():
    with gzip.open(V2G / "everest-vectors.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    element, signed_info = (bytes.fromhex(row["hex"]) for row in rows if "openssl_test" in row["source"])
    name, authorization = decode_fragment("iso2", element)
    assert (name, authorization.Id) == ("AuthorizationReq", "ID1")
    name, info = decode_fragment("xmldsig", signed_info)
    assert encode_fragment("xmldsig", name, info) == signed_info
    assert info.Reference[0].URI == "#ID1"
    assert (
        info.Reference[0].DigestValue
        == hashlib.sha256(encode_fragment("iso2", "AuthorizationReq", authorization)).digest()
    )


def test_recorded_fragments_are_those_of_the_recorded_messages():
    """EXIficient's fragments of signed elements, beside the messages that carry them."""
    count = 0
    for row in live_rows():
        schema = "xmldsig" if "xmldsig" in row["protocol"] else row["protocol"]
        name = next(iter(row["decoded"]))
        if (
            name in {"V2G_Message", "supportedAppProtocolReq", "supportedAppProtocolRes"}
            or "Header" in row["decoded"][name]
        ):
            continue
        octets = bytes.fromhex(row["hex"])
        found, value = decode_fragment(schema, octets)
        assert found == name
        assert encode_fragment(schema, name, value) == octets
        count += 1
    assert count == 25


def test_elements_are_found_by_their_names():
    decoded = decode("iso2", published()[1].octets)
    assert {found.name for found in elements_of(decoded)} >= FOUR
