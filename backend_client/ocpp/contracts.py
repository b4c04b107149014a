"""Plug & Charge over OCPP: the bodies of 2.0.1, which 1.6 carries in DataTransfer unchanged. Pure functions."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from backend_client.ocpp.certificate_status import detail, hash_data, load, read_base64, responder_url
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.messages_201 import id_token
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.contracts import ContractAction, ContractAnswer
from ports.errors import PeerError

VENDOR_ID_16 = "org.openchargealliance.iso15118pnc"
EXI_REQUEST_LIMIT = 5600  # characters, Get15118EVCertificateRequest
EXI_RESPONSE_LIMIT = 7500
CERTIFICATE_LIMIT = 5500  # characters of PEM, AuthorizeRequest
HASH_DATA_LIMIT = 4
_OTHER_WORDS = {"NotAllowedTypeEVSE": AuthorisationStatus.NOT_ALLOWED_HERE}


def authorize_request(request: AuthorisationRequest) -> dict[str, Any]:
    """Authorize, with a contract's chain as PEM (its leaf alone when the chain is too long) and its hash data."""
    body: dict[str, Any] = {"idToken": id_token(request.id, request.id_type)}
    if not request.certificates:
        return body
    chain = [load(certificate) for certificate in request.certificates]
    texts = [certificate.public_bytes(Encoding.PEM).decode() for certificate in chain]
    text = next((fit for fit in ("".join(texts), texts[0]) if len(fit) <= CERTIFICATE_LIMIT), None)
    if text is None:
        raise PeerError(f"the contract certificate has {len(texts[0])} characters, OCPP allows {CERTIFICATE_LIMIT}")
    body["certificate"] = text
    pairs = [(one, issuer) for one, issuer in itertools.pairwise(chain) if responder_url(one)]
    if pairs:
        body["iso15118CertificateHashData"] = [hash_data(*pair) for pair in pairs[:HASH_DATA_LIMIT]]
    return body


def read_authorisation(answer: Payload) -> Authorisation:
    """AuthorizeResponse of 2.0.1."""
    info = answer["idTokenInfo"]
    contract = answer.get("certificateStatus")
    message = info.get("personalMessage", {}).get("content", "")
    return Authorisation(
        _status(info["status"]), ContractStatus(contract) if contract is not None else None, str(message)
    )


def read_authorisation_16(answer: Payload) -> Authorisation:
    """Authorize.conf of 1.6."""
    return Authorisation(_status(answer["idTagInfo"]["status"]))


def certificate_request(action: ContractAction, exi: bytes, namespace: str) -> dict[str, Any]:
    """Get15118EVCertificate. Raises PeerError when the vehicle's request does not fit."""
    text = base64.b64encode(exi).decode()
    if len(text) > EXI_REQUEST_LIMIT:
        raise PeerError(
            f"the vehicle's request has {len(text)} characters in base64, OCPP 2.0.1 exiRequest allows "
            f"{EXI_REQUEST_LIMIT} ({EXI_REQUEST_LIMIT * 3 // 4} octets, this one has {len(exi)})",
            exi,
        )
    return {"iso15118SchemaVersion": namespace, "action": action.value, "exiRequest": text}


def read_certificate_answer(answer: Payload) -> ContractAnswer:
    """Get15118EVCertificateResponse. Raises PeerError when its EXI is no base64, or missing where it was accepted."""
    exi, accepted = read_base64(answer["exiResponse"], "exiResponse"), answer["status"] == "Accepted"
    if accepted and not exi:
        raise PeerError("the CSMS accepted the certificate request and sent no exiResponse", repr(answer))
    return ContractAnswer(exi, accepted, detail(answer))


def _status(text: str) -> AuthorisationStatus:
    return _OTHER_WORDS.get(text) or AuthorisationStatus(text)
