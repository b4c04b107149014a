"""What OPCP v1 says when a pool refuses: the published texts byte by byte, our own where none is published."""

from __future__ import annotations

from types import MappingProxyType

from backends.api.errors import Text, Texts
from backends.pools.refusals import Refusal

PCID_PATTERN = "^[a-zA-Z0-9]{17,18}$"
EMAID_PATTERN = r"^[A-Za-z]{2}[-]?\w{3}[-]?\w{9}[-]?(\w{1})?$"

_FIELDS = {
    "": "",
    "root certificate": "caCertificate",
    "provisioning certificate": "vehicleCertificate",
    "provisioning sub-CA 1": "subCa1Certificate",
    "provisioning sub-CA 2": "subCa2Certificate",
}

_REFUSALS = {
    # published in the OPCP 1.0.0 OpenAPI files
    Refusal.PCID_FORMAT: Text(400, f'pcid : must match "{PCID_PATTERN}"'),
    Refusal.EMAID_FORMAT: Text(400, f'emaid : must match "{EMAID_PATTERN}"'),
    Refusal.CERTIFICATE_FORMAT: Text(400, "Invalid certificate format on %s"),
    Refusal.ROOT_UNKNOWN: Text(404, "Root certificate with the given ID is not found"),
    Refusal.VEHICLE_UNKNOWN: Text(404, "The OEM provisioning certificate with given PCID is not found."),
    # our own
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
