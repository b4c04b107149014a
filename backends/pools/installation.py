"""A vehicle's request for a contract, new or renewed, and the answers: the stored one, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from backends.pools.contract_data import NO_SESSION, SCHEMAS, SUITES, check_references, encoded
from backends.pools.editions import ISO2, ISO20
from backends.refusals import Refusal, Refused
from v2g.exi.codec import decode, encode
from v2g.exi.errors import ExiError
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common import types as iso20
from v2g.exi.generated.iso20_common_types import types as iso20_common
from v2g.signature_suites import ALL_SUITES, PublicKey
from v2g.xmldsig import SignatureError, verify_message

MAX_OCTETS = 12750  # 17000 base64 characters: exiRequest of OCPP 2.1
MAX_SUB_CERTIFICATES = 4
MAX_SESSION_ID = 8  # octets
_COMMON_NAME = re.compile(r"\bCN\s*=\s*([^,>)/+]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RootId:
    """A root that the vehicle trusts. name: as it wrote it."""

    name: str
    serial: int


@dataclass(frozen=True, slots=True)
class InstallationRequest:
    """What the vehicle sent. certificate, sub_cas: DER. wanted: EMAIDs, most wanted first. maximum: of answers.

    update_of: EMAID of a CertificateUpdateReq, "" otherwise; certificate and sub_cas are then the contract's.
    """

    namespace: str
    message: Any
    session_id: bytes
    certificate: bytes
    sub_cas: tuple[bytes, ...]
    roots: tuple[RootId, ...]
    wanted: tuple[str, ...] = ()
    maximum: int = 1
    update_of: str = ""


def read_request(octets: bytes, namespace: str) -> InstallationRequest:
    """Decode. Raises Refused (REQUEST_FORMAT)."""

    def wrong(detail: str) -> Refused:
        return Refused(Refusal.REQUEST_FORMAT, detail[:300], received=octets[:MAX_OCTETS])

    if len(octets) > MAX_OCTETS:
        raise wrong(f"{len(octets)} octets, at most {MAX_OCTETS} are taken")
    try:
        message: Any = decode(SCHEMAS[namespace], octets)
    except ExiError as error:
        raise wrong(str(error)) from error
    body = getattr(message.Body, "BodyElement", None) if isinstance(message, iso2.V2G_Message) else message
    read = _READERS.get(type(body))
    if read is None:
        expected = "a CertificateInstallationReq or CertificateUpdateReq"
        raise wrong(f"{expected} is expected, not {type(body).__name__.removesuffix('Type')}")
    request = read(message, body)
    for what, value, kind in (
        ("SessionID", request.session_id, bytes),
        ("the certificate", request.certificate, bytes),
        ("eMAID", request.update_of, str),
        *(("a sub-CA", one, bytes) for one in request.sub_cas),
        *(("X509SerialNumber", one.serial, int) for one in request.roots),
    ):
        if not isinstance(value, kind):
            raise wrong(f"{what} is not what the schema says")
    if len(request.session_id) > MAX_SESSION_ID:
        raise wrong(f"SessionID of {len(request.session_id)} octets, at most {MAX_SESSION_ID}")
    if len(request.sub_cas) > MAX_SUB_CERTIFICATES:
        raise wrong(f"{len(request.sub_cas)} sub-CAs, at most {MAX_SUB_CERTIFICATES} are taken")
    return request


def _iso2_request(message: Any, body: Any) -> InstallationRequest:
    return InstallationRequest(
        namespace=ISO2,
        message=message,
        session_id=message.Header.SessionID,
        certificate=body.OEMProvisioningCert,
        sub_cas=(),
        roots=_roots(body.ListOfRootCertificateIDs),
    )


def _iso2_update(message: Any, body: Any) -> InstallationRequest:
    chain = body.ContractSignatureCertChain
    return InstallationRequest(
        namespace=ISO2,
        message=message,
        session_id=message.Header.SessionID,
        certificate=chain.Certificate,
        sub_cas=tuple(chain.SubCertificates.Certificate) if chain.SubCertificates else (),
        roots=_roots(body.ListOfRootCertificateIDs),
        update_of=body.eMAID,
    )


def _iso20_request(_message: Any, body: Any) -> InstallationRequest:
    chain = body.OEMProvisioningCertificateChain
    return InstallationRequest(
        namespace=ISO20,
        message=body,
        session_id=body.Header.SessionID,
        certificate=chain.Certificate,
        sub_cas=tuple(chain.SubCertificates.Certificate) if chain.SubCertificates else (),
        roots=_roots(body.ListOfRootCertificateIDs),
        wanted=tuple(map(str, body.PrioritizedEMAIDs.EMAID)) if body.PrioritizedEMAIDs else (),
        maximum=max(1, int(body.MaximumContractCertificateChains)),
    )


_READERS: Mapping[type[Any], Callable[[Any, Any], InstallationRequest]] = MappingProxyType(
    {
        iso2.CertificateInstallationReqType: _iso2_request,
        iso2.CertificateUpdateReqType: _iso2_update,
        iso20.CertificateInstallationReqType: _iso20_request,
    }
)


def _roots(listed: Any) -> tuple[RootId, ...]:
    entries = getattr(listed, "RootCertificateID", None) or ()
    return tuple(RootId(str(one.X509IssuerName), one.X509SerialNumber) for one in entries)


def verify_request(request: InstallationRequest, key: PublicKey, *, strict: bool = False) -> None:
    """The vehicle signed with the key of its certificate. Raises Refused (REQUEST_SIGNATURE).

    strict: of -20, only its own algorithms; vehicles in the field sign with P-256, too.
    """
    suites = SUITES[request.namespace] if strict or request.namespace == ISO2 else ALL_SUITES
    try:
        check_references(request.message)
        verify_message(request.message, key, suites)
    except SignatureError as error:
        raise Refused(Refusal.REQUEST_SIGNATURE, str(error)[:300]) from error


def knows_root(listed: Sequence[RootId], serial: int, name: str) -> bool:
    """Whether the vehicle listed this root: the serial number decides, of the name only CN must not contradict.

    Vehicles leave out DC and C, turn the order, and write names in the manner of their libraries.
    """
    return any(one.serial == serial and _same_name(one.name, name) for one in listed)


def _same_name(one: str, other: str) -> bool:
    names = [found[1].strip().strip("\"'").casefold() for found in map(_COMMON_NAME.search, (one, other)) if found]
    return len(names) < 2 or names[0] == names[1]


def answer(stored: bytes, namespace: str, session_id: bytes, at: int, remaining: int = 0) -> bytes:
    """The stored message for this session: neither id, time nor count is signed. at: UTC seconds since 1970."""
    if namespace == ISO2 and len(session_id) == MAX_SESSION_ID:
        return _with_session(stored, session_id)
    message: Any = decode(SCHEMAS[namespace], stored)
    message.Header.SessionID = session_id
    if namespace == ISO20:
        message.Header.TimeStamp = at
        message.RemainingContractCertificateChains = remaining
    return encoded(message)


def _with_session(stored: bytes, session_id: bytes) -> bytes:
    """A -2 message with another session id of the same length: its bits are replaced, the rest is not looked at."""
    shift = 8 * len(stored) - _session_end()
    zeros = ~((1 << 8 * MAX_SESSION_ID) - 1 << shift)
    return (int.from_bytes(stored) & zeros | int.from_bytes(session_id) << shift).to_bytes(len(stored))


@cache
def _session_end() -> int:
    """Bits up to the end of the session id, the first value of a message: found where two messages differ."""
    one, other = (
        encode(
            iso2.V2G_Message(
                Header=iso2.MessageHeaderType(SessionID=bytes(MAX_SESSION_ID - 1) + last), Body=iso2.BodyType()
            )
        )
        for last in (b"\0", b"\1")
    )
    return 8 * len(one) - (int.from_bytes(one) ^ int.from_bytes(other)).bit_length() + 1


@dataclass(frozen=True, slots=True)
class _Codes:
    iso2: str
    iso20: str


_NONE = _Codes("FAILED_NoCertificateAvailable", "WARNING_NoCertificateAvailable")
_CHAIN = _Codes("FAILED_CertChainError", "WARNING_CertificateValidationError")
# ISO 15118-2 table 112, ISO 15118-20 table 225
CODES: Mapping[Refusal, _Codes] = MappingProxyType(
    {
        Refusal.REQUEST_SIGNATURE: _Codes("FAILED_SignatureError", "FAILED_SignatureError"),
        Refusal.CERTIFICATE_EXPIRED: _Codes("FAILED_CertificateExpired", "WARNING_CertificateExpired"),
        Refusal.CERTIFICATE_NOT_YET_VALID: _Codes("FAILED_CertChainError", "WARNING_CertificateNotYetValid"),
        Refusal.CERTIFICATE_REVOKED: _Codes("FAILED_CertificateRevoked", "WARNING_CertificateRevoked"),
        Refusal.NOTHING_FOR_VEHICLE: _Codes("FAILED_NoCertificateAvailable", "WARNING_NoContractMatchingPCIDFound"),
        Refusal.NO_COMMON_ROOT: _NONE,
        Refusal.VEHICLE_UNKNOWN: _NONE,
        Refusal.EMAID_FORMAT: _NONE,
        Refusal.EMAID_MISMATCH: _NONE,
        Refusal.CONTRACT_UNKNOWN: _Codes("FAILED_ContractCanceled", "WARNING_NoCertificateAvailable"),
        Refusal.NOT_RENEWED_HERE: _NONE,
        Refusal.SIGNER_UNKNOWN: _NONE,
        Refusal.MO_CA: _NONE,
    }
)
NEVER, NEXT_CHARGING, TOMORROW = -1, 0, 1  # RetryCounter, ISO 15118-2 8.4.3.5.4: days to wait; RISE-V2G answers 0
RETRIES: Mapping[Refusal, int] = MappingProxyType(
    {
        Refusal.CONTRACT_UNKNOWN: NEVER,
        Refusal.NOT_RENEWED_HERE: NEVER,
        Refusal.CERTIFICATE_REVOKED: NEVER,
        Refusal.CERTIFICATE_EXPIRED: NEVER,
        Refusal.NO_COMMON_ROOT: TOMORROW,
        Refusal.STATUS_UNKNOWN: TOMORROW,
        Refusal.MO_CA: TOMORROW,
    }
)


def refusal(request: InstallationRequest, refused: Refused, at: int) -> bytes:
    """The answer (EXI) that tells the vehicle why it gets nothing; what has no meaning is one octet long."""
    codes = CODES.get(refused.reason, _CHAIN)
    session_id = request.session_id or NO_SESSION
    if request.namespace == ISO20:
        return encode(_iso20_refusal(session_id, codes.iso20, at))
    chain = iso2.CertificateChainType(Certificate=b"\0")
    kind: Any = iso2.CertificateInstallationResType
    more = {}
    if request.update_of:
        kind, more = iso2.CertificateUpdateResType, {"RetryCounter": RETRIES.get(refused.reason, NEXT_CHARGING)}
    body = kind(
        ResponseCode=codes.iso2,
        SAProvisioningCertificateChain=chain,
        ContractSignatureCertChain=chain,
        ContractSignatureEncryptedPrivateKey=iso2.ContractSignatureEncryptedPrivateKeyType(Id="ID1", value=b"\0"),
        DHpublickey=iso2.DiffieHellmanPublickeyType(Id="ID2", value=b"\0"),
        eMAID=iso2.EMAIDType(Id="ID3", value="0" * 14),
        **more,
    )
    notification = iso2.NotificationType(FaultCode="UnknownError", FaultMsg=str(refused.reason)[:64])
    header = iso2.MessageHeaderType(SessionID=session_id, Notification=notification)
    return encode(iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body)))


def _iso20_refusal(session_id: bytes, code: str, at: int) -> Any:
    empty = iso20.SubCertificatesType(Certificate=[b"\0"])
    signed = iso20.SignedInstallationDataType(
        Id="ID1",
        ContractCertificateChain=iso20.ContractCertificateChainType(Certificate=b"\0", SubCertificates=empty),
        ECDHCurve="SECP521",
        DHPublicKey=bytes(133),
        SECP521_EncryptedPrivateKey=bytes(94),
    )
    return iso20.CertificateInstallationResType(
        Header=iso20_common.MessageHeaderType(SessionID=session_id, TimeStamp=at),
        ResponseCode=code,  # type: ignore[arg-type]
        EVSEProcessing="Finished",
        CPSCertificateChain=iso20.CertificateChainType(Certificate=b"\0"),
        SignedInstallationData=signed,
        RemainingContractCertificateChains=0,
    )


def session_id_of(text: str) -> bytes:
    """An even number of hex digits, at most 16; "" = none. Raises Refused (SESSION_ID_FORMAT)."""
    if not re.fullmatch(r"([0-9A-Fa-f]{2}){0,8}", text, re.ASCII):
        raise Refused(Refusal.SESSION_ID_FORMAT, received=text[:64])
    return bytes.fromhex(text)
