"""What OPCP v1 says when a pool refuses: the published texts byte by byte, our own where none is published."""

from __future__ import annotations

from types import MappingProxyType

from backends.api.errors import Text, Texts
from backends.refusals import Refusal

PCID_PATTERN = "^[a-zA-Z0-9]{17,18}$"
EMAID_PATTERN = r"^[A-Za-z]{2}[-]?\w{3}[-]?\w{9}[-]?(\w{1})?$"

_FIELDS = {
    "": "",
    "root certificate": "caCertificate",
    "provisioning certificate": "vehicleCertificate",
    "provisioning sub-CA 1": "subCa1Certificate",
    "provisioning sub-CA 2": "subCa2Certificate",
    "contract certificate": "contractCertificate",
    "contract sub-CA 1": "contractSubCa1Certificate",
    "contract sub-CA 2": "contractSubCa2Certificate",
    "chained contract certificate": "contractSignatureCertChainCertificate",
    "contract sub-CAs": "contractSignatureCertChainSubCertificates list",
    "CPS certificate": "cpsCertificate",
    "vehicle": "certificateInstallationReq",
}

_REFUSALS = {
    # published in the OPCP 1.0.0 OpenAPI files
    Refusal.PCID_FORMAT: Text(400, f'pcid : must match "{PCID_PATTERN}"'),
    Refusal.EMAID_FORMAT: Text(400, f'emaid : must match "{EMAID_PATTERN}"'),
    Refusal.CERTIFICATE_FORMAT: Text(400, "Invalid certificate format on %s"),
    Refusal.ROOT_UNKNOWN: Text(404, "Root certificate with the given ID is not found"),
    Refusal.VEHICLE_UNKNOWN: Text(404, "The OEM provisioning certificate with given PCID is not found."),
    Refusal.CONTRACT_ENDED: Text(400, "The given contractEnds date is in the past."),
    Refusal.CONTRACT_EXPIRED: Text(400, "The validUntil date of contract certificate is in the past."),
    Refusal.CONTRACT_OF_ANOTHER_VEHICLE: Text(400, "Invalid Tupple - EMAID is already used by other PCID."),
    Refusal.CONTRACT_UNKNOWN: Text(404, "The contract for the given EMAID not found."),
    Refusal.CONTRACT_UNKNOWN_TO_VEHICLE: Text(400, "The contract for the given EMAID not found."),  # 404 is not listed
    Refusal.NOTHING_FOR_VEHICLE: Text(404, "Contract or Vehicle not found."),
    Refusal.NO_COMMON_ROOT: Text(404, "Contract or Vehicle not found."),
    Refusal.NOT_RENEWED_HERE: Text(404, "Contract or Vehicle not found."),
    Refusal.REQUEST_FORMAT: Text(400, "EXI format is invalid!"),
    Refusal.SESSION_ID_FORMAT: Text(
        400,
        "Invalid SessionID format, make sure the length is maximum 8 characters and it is represented in HEX binary",
    ),
    Refusal.VEHICLE_NOT_PROVISIONED: Text(
        400, "The OEM provisioning certificate with the given PCID is not available."
    ),
    # our own
    Refusal.REQUEST_SIGNATURE: Text(400, "The signature of the vehicle's request is not valid."),
    Refusal.CONTRACT_DATA_FORMAT: Text(400, "The signed contract data cannot be read."),
    Refusal.CONTRACT_DATA_SIGNATURE: Text(400, "The signature of the signed contract data is not valid."),
    Refusal.CONTRACT_PERIOD: Text(400, "The given contractEnds date is not after contractBegins."),
    Refusal.EMAID_MISMATCH: Text(400, "emaid : must be the common name of the contract certificate"),
    Refusal.KEY_ENVELOPE: Text(400, "contractSignatureEncryptedPrivateKey and dHpublickey do not have the right form."),
    Refusal.ANSWER_TOO_LARGE: Text(400, "The signed contract data are too large for charging stations."),
    Refusal.VEHICLE_KEY: Text(400, "No contract can be generated for the key of this provisioning certificate."),
    Refusal.MO_CA: Text(502, "The MO CA did not issue a contract certificate."),
    Refusal.SIGNER_UNKNOWN: Text(400, "There is no CPS signer for the given V2G root certificate."),
    Refusal.CERTIFICATE_NOT_YET_VALID: Text(400, "The chain of %s is not valid yet."),
    Refusal.CERTIFICATE_EXPIRED: Text(400, "The chain of %s has expired."),
    Refusal.CERTIFICATE_PROFILE: Text(400, "%s does not fit the certificate profile of its role."),
    Refusal.CERTIFICATE_REVOKED: Text(400, "The chain of %s has been revoked."),
    Refusal.STATUS_UNKNOWN: Text(400, "The revocation status of %s is unknown."),
    Refusal.CHAIN: Text(400, "The chain of %s does not end in a root certificate of the pool."),
    Refusal.ROOT_NOT_SELF_SIGNED: Text(400, "%s is not a self-signed certificate."),
    Refusal.NAMESPACE: Text(400, "xsdMsgDefNamespace : unknown value"),
    Refusal.ROOT_KEY_IDENTIFIER: Text(400, "v2gRootAuthorityKeyIdentifiers : must be hex, octets separated by colons"),
    Refusal.REVOCATION_FAILED: Text(502, "A contract certificate could not be revoked; nothing was changed."),
    Refusal.ENDPOINT_UNKNOWN: Text(404, "Webhook endpoint with the given ID is not found."),
    Refusal.ENDPOINT_URL: Text(400, "url : must be the https URL of a public host"),
    Refusal.ENDPOINT_EVENTS: Text(400, "enabledEvents : unknown event type"),
    Refusal.ENDPOINT_STATUS: Text(400, "status : must be enabled or disabled"),
    Refusal.ENDPOINT_TOO_LARGE: Text(400, "description or metadata is too long"),
    Refusal.ENDPOINT_TOO_MANY: Text(400, "There are too many webhook endpoints."),
}

TEXTS = Texts(MappingProxyType(_REFUSALS), MappingProxyType(_FIELDS))
