"""Signed contract data: the answer to a vehicle's installation request, built and signed before anybody asks for it.

-2 follows public messages bit by bit. -20 follows the text of ISO 15118-20 7.9.2.5; no message of a public pool has
confirmed it yet, so it is marked as unconfirmed wherever it is handed out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pools.certificates import curve_of
from backends.pools.editions import ISO2, ISO20, edition_of_curve
from backends.pools.identifiers import emaid_key, normalised_emaid
from backends.refusals import Refusal, Refused
from ports.errors import PeerError
from v2g.certificates import common_name, public_key
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import SECP521, X448, Envelope, SealedKey, check_form
from v2g.exi.codec import check, decode, encode
from v2g.exi.element import Element
from v2g.exi.errors import EncodeError
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common import types as iso20
from v2g.exi.generated.iso20_common_types import types as iso20_common
from v2g.exi.schemas import SchemaSet
from v2g.exi.xml_form import to_xml
from v2g.message_xml import XmlError, from_xml
from v2g.signature_suites import ISO2_SUITES, ISO20_SUITES, PublicKey, Suite, suite_for
from v2g.xmldsig import SignatureError, prepare_message, verify_message

NO_SESSION = bytes(8)
SCHEMAS: Mapping[str, SchemaSet] = MappingProxyType({ISO2: SchemaSet.ISO2, ISO20: SchemaSet.ISO20_COMMON})
ENVELOPES: Mapping[str, tuple[Envelope, ...]] = MappingProxyType({ISO2: (ISO2_ENVELOPE,), ISO20: (SECP521, X448)})
SUITES: Mapping[str, tuple[Suite, ...]] = MappingProxyType({ISO2: ISO2_SUITES, ISO20: ISO20_SUITES})
# base64 characters of exiResponse: OCPP 2.0.1 and 2.1, Get15118EVCertificateResponse; -20 needs OCPP 2.1
MAX_ANSWER: Mapping[str, int] = MappingProxyType({ISO2: 7500, ISO20: 11000})
MAX_REFERENCES = 8  # a signature of the standard has 1 or 4: what a stranger makes us hash is bounded
MAX_SUB_CERTIFICATES = 4

SignOctets = Callable[[bytes], Awaitable[bytes]]
"""Signs octets with the CPS key, which may live in a token; answers DER or the raw value."""


@dataclass(frozen=True, slots=True)
class ContractData:
    """A contract before it is signed. sub_cas: issuer of the leaf first. field: what a refusal calls the leaf."""

    namespace: str
    leaf: Certificate
    sub_cas: tuple[Certificate, ...]
    key: SealedKey
    field: str = "contract certificate"

    @property
    def emaid(self) -> str:
        """From the common name: capitals without hyphens. Raises Refused (EMAID_FORMAT)."""
        return normalised_emaid(common_name(self.leaf))


@dataclass(frozen=True, slots=True)
class SignedContractData:
    """A contract as it is stored. message: the EXI, session id of zeros. xml: the same without a session id.

    contract, cps: leaf first, then sub-CAs.
    """

    namespace: str
    emaid: str
    message: bytes
    xml: bytes
    contract: tuple[Certificate, ...]
    cps: tuple[Certificate, ...]


def envelope_of(namespace: str, key: SealedKey) -> Envelope:
    """The kind of envelope, its form checked. Raises Refused (KEY_ENVELOPE)."""
    for envelope in ENVELOPES[namespace]:
        if len(key.encrypted_private_key) == envelope.field_length:
            try:
                check_form(envelope, key)
            except PeerError as error:
                raise Refused(Refusal.KEY_ENVELOPE, str(error)) from error
            return envelope
    lengths = " or ".join(str(envelope.field_length) for envelope in ENVELOPES[namespace])
    detail = f"the encrypted private key has {len(key.encrypted_private_key)} octets, expected {lengths}"
    raise Refused(Refusal.KEY_ENVELOPE, detail)


async def sign_contract_data(
    data: ContractData,
    cps: Sequence[Certificate],
    sign: SignOctets,
    max_answer: int = 0,
    *,
    update: bool = False,
) -> SignedContractData:
    """Build and sign. cps: chain of the signer without its root, leaf first. max_answer: base64 characters, 0 = any.

    update: the answer to a CertificateUpdateReq, which is of -2.

    Raises Refused: KEY_ENVELOPE, EMAID_FORMAT, CONTRACT_DATA_FORMAT (a certificate is too long for the message),
    ANSWER_TOO_LARGE.
    """
    envelope = envelope_of(data.namespace, data.key)
    octets_of_cps = [one.dump() for one in cps]
    if data.namespace == ISO2:
        kind = iso2.CertificateUpdateResType if update else iso2.CertificateInstallationResType
        message = _iso2_message(data, octets_of_cps, kind)
    else:
        message = _iso20_message(data, octets_of_cps, envelope)
    try:
        unsigned = prepare_message(message, suite_for(_signing_key(cps[0])), check=envelope is not X448)
        message.Header.Signature = unsigned.complete(await sign(unsigned.octets))
        octets = encoded(message)
    except EncodeError as error:
        raise Refused(Refusal.CONTRACT_DATA_FORMAT, str(error)[:300], field=data.field) from error
    check_size(octets, data.namespace, max_answer)
    contract = (data.leaf, *data.sub_cas)
    return SignedContractData(data.namespace, data.emaid, octets, _xml(message), contract, tuple(cps))


def read_signed_contract_data(
    xml: bytes, namespace: str, read: Callable[[bytes, str], Certificate]
) -> SignedContractData:
    """The message in XML of another CPS. read: of the certificates inside (octets, field).

    Its signature is not looked at yet, see `verify_signed`.
    Raises Refused (CONTRACT_DATA_FORMAT, EMAID_FORMAT, and what `read` raises).
    """
    try:
        message = from_xml(xml, SCHEMAS[namespace])
        message.Header.SessionID = NO_SESSION
        if namespace == ISO20:
            message.Header.TimeStamp = 0
        octets = encoded(message)  # complete and within all limits, or EncodeError
    except (XmlError, EncodeError, AttributeError) as error:
        raise Refused(Refusal.CONTRACT_DATA_FORMAT, str(error)[:300], received=xml[:2000]) from error
    body = answer_of(message)
    if body is None or body.ResponseCode != "OK":
        raise Refused(Refusal.CONTRACT_DATA_FORMAT, "no CertificateInstallationRes with OK", received=xml[:2000])
    if namespace == ISO2:
        contract, cps, emaid = body.ContractSignatureCertChain, body.SAProvisioningCertificateChain, body.eMAID.value
        key = SealedKey(body.ContractSignatureEncryptedPrivateKey.value, body.DHpublickey.value)
    else:
        inner = body.SignedInstallationData
        contract, cps, emaid = inner.ContractCertificateChain, body.CPSCertificateChain, ""
        key = SealedKey(inner.SECP521_EncryptedPrivateKey or inner.X448_EncryptedPrivateKey or b"", inner.DHPublicKey)
    envelope_of(namespace, key)
    chains = [
        tuple(read(one, field) for one in _chain(chain))
        for chain, field in ((contract, "contract certificate"), (cps, "CPS certificate"))
    ]
    name = normalised_emaid(common_name(chains[0][0]))
    if emaid and emaid_key(emaid) != emaid_key(name):
        raise Refused(Refusal.EMAID_MISMATCH, f"eMAID {emaid}, common name of the contract certificate {name}")
    return SignedContractData(namespace, name, octets, _xml(message), chains[0], chains[1])


def verify_signed(data: SignedContractData) -> None:
    """The signature of the CPS over all elements that the standard wants signed. Raises Refused (SIGNATURE)."""
    message = decode(SCHEMAS[data.namespace], data.message)
    try:
        check_references(message)
        verify_message(message, _signing_key(data.cps[0]), SUITES[data.namespace])
    except SignatureError as error:
        raise Refused(Refusal.CONTRACT_DATA_SIGNATURE, str(error)[:300]) from error


def encoded(message: Any) -> bytes:
    """EXI within the limits of the schema. Raises EncodeError.

    One limit is not the schema's: DHPublicKey of X448 has 56 octets without filler by the text ([V2G20-2495]), where
    the schema's type has 133. Lengths are not part of the grammar, so every decoder reads it.
    """
    data: Any = getattr(message, "SignedInstallationData", None)
    if getattr(data, "ECDHCurve", "") != "X448" or len(data.DHPublicKey or b"") != X448.dh_public_key_length:
        return encode(message)
    kept, data.DHPublicKey = data.DHPublicKey, bytes(SECP521.dh_public_key_length)
    try:
        check(message)
    finally:
        data.DHPublicKey = kept
    return encode(message, check=False)


def check_curve(leaf: Certificate, namespace: str, field: str) -> None:
    """A contract of an edition has a key of that edition. Raises Refused (CERTIFICATE_PROFILE)."""
    if edition_of_curve(curve_of(leaf)) != namespace:
        raise Refused(Refusal.CERTIFICATE_PROFILE, f"key on {curve_of(leaf)} in a contract of {namespace}", field=field)


def check_references(message: Any) -> None:
    """Bound the work of a signature check. Raises SignatureError."""
    info = getattr(message.Header.Signature, "SignedInfo", None)
    if len(getattr(info, "Reference", None) or []) > MAX_REFERENCES:
        raise SignatureError(f"the signature has more than {MAX_REFERENCES} references")


def check_size(octets: bytes, namespace: str, max_answer: int = 0) -> None:
    """OCPP carries answers up to a length. Raises Refused (ANSWER_TOO_LARGE)."""
    size, allowed = (len(octets) + 2) // 3 * 4, max_answer or MAX_ANSWER[namespace]
    if size > allowed:
        raise Refused(Refusal.ANSWER_TOO_LARGE, f"{size} base64 characters, stations take at most {allowed}")


def answer_of(message: Any) -> Any:
    """The CertificateInstallationRes of a message, None when it is something else."""
    body = message.Body.BodyElement if isinstance(message, iso2.V2G_Message) else message
    return (
        body if isinstance(body, iso2.CertificateInstallationResType | iso20.CertificateInstallationResType) else None
    )


def _iso2_message(data: ContractData, cps: Sequence[bytes], kind: type[Any]) -> Any:
    body = kind(
        ResponseCode="OK",
        SAProvisioningCertificateChain=_iso2_chain(cps),
        ContractSignatureCertChain=_iso2_chain([one.dump() for one in (data.leaf, *data.sub_cas)], "ID1"),
        ContractSignatureEncryptedPrivateKey=iso2.ContractSignatureEncryptedPrivateKeyType(
            Id="ID2", value=data.key.encrypted_private_key
        ),
        DHpublickey=iso2.DiffieHellmanPublickeyType(Id="ID3", value=data.key.dh_public_key),
        eMAID=iso2.EMAIDType(Id="ID4", value=data.emaid),
    )
    header = iso2.MessageHeaderType(SessionID=NO_SESSION)
    return iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body))


def _iso2_chain(chain: Sequence[bytes], identifier: str | None = None) -> iso2.CertificateChainType:
    subs = iso2.SubCertificatesType(Certificate=list(chain[1:])) if chain[1:] else None
    return iso2.CertificateChainType(Id=identifier, Certificate=chain[0], SubCertificates=subs)


def _iso20_message(data: ContractData, cps: Sequence[bytes], envelope: Envelope) -> Any:
    field = {SECP521.name: "SECP521_EncryptedPrivateKey", X448.name: "X448_EncryptedPrivateKey"}[envelope.name]
    signed = iso20.SignedInstallationDataType(
        Id="ID1",
        ContractCertificateChain=iso20.ContractCertificateChainType(
            Certificate=data.leaf.dump(),
            SubCertificates=iso20.SubCertificatesType(Certificate=[one.dump() for one in data.sub_cas]),
        ),
        ECDHCurve="SECP521" if envelope is SECP521 else "X448",
        DHPublicKey=data.key.dh_public_key,
        **{field: data.key.encrypted_private_key},
    )
    subs = iso20.SubCertificatesType(Certificate=list(cps[1:])) if cps[1:] else None
    return iso20.CertificateInstallationResType(
        Header=iso20_common.MessageHeaderType(SessionID=NO_SESSION, TimeStamp=0),
        ResponseCode="OK",
        EVSEProcessing="Finished",
        CPSCertificateChain=iso20.CertificateChainType(Certificate=cps[0], SubCertificates=subs),
        SignedInstallationData=signed,
        RemainingContractCertificateChains=0,
    )


def _chain(chain: Any) -> list[bytes]:
    subs = list(chain.SubCertificates.Certificate) if chain.SubCertificates else []
    if len(subs) > MAX_SUB_CERTIFICATES:
        raise Refused(Refusal.CONTRACT_DATA_FORMAT, f"{len(subs)} sub-CAs, at most {MAX_SUB_CERTIFICATES} are taken")
    return [chain.Certificate, *subs]


def _signing_key(certificate: Certificate) -> PublicKey:
    key = public_key(certificate)
    if not isinstance(key, PublicKey):
        raise Refused(Refusal.CERTIFICATE_PROFILE, "its key cannot sign", field="CPS certificate")
    return key


def _xml(message: Element) -> bytes:
    """Without session id, as signed contract data travel between CPS and CCP."""
    name = SchemaSet.ISO2 if isinstance(message, iso2.V2G_Message) else SchemaSet.ISO20_COMMON
    header: Any = message.Header  # type: ignore[attr-defined]
    kept = {field: getattr(header, field) for field in ("SessionID", "TimeStamp") if hasattr(header, field)}
    try:
        for field in kept:
            setattr(header, field, None)
        root = "V2G_Message" if name is SchemaSet.ISO2 else "CertificateInstallationRes"
        return b'<?xml version="1.0" encoding="UTF-8"?>' + to_xml(name, root, message).encode()
    finally:
        for field, value in kept.items():
            setattr(header, field, value)
