"""Events as OPCP v1 calls and writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from backends.opcp.fields import base64_text, timestamp
from backends.pools.deliveries import Delivery
from backends.pools.events import EventKind
from backends.refusals import Refusal, Refused

API = "opcp v1"

NAMES: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.ROOT_ADDED: "root.cert.added",
        EventKind.ROOT_EXPIRED: "root.cert.expired",
        EventKind.ROOT_REVOKED: "root.cert.revoked",
        EventKind.VEHICLE_UPDATED: "mo.prov.cert.updated",
        EventKind.VEHICLE_DELETED: "mo.prov.cert.deleted",
        EventKind.VEHICLE_RESET: "mo.prov.cert.factory.reset",
        EventKind.CONTRACT_CREATED: "oem.contract.created",
        EventKind.CONTRACT_UPDATED: "oem.contract.updated",
        EventKind.CONTRACT_DELETED: "oem.contract.deleted",
        EventKind.CONTRACT_CREATED_SENT: "mo.contract.created.sent.to.oem",
        EventKind.CONTRACT_UPDATED_SENT: "mo.contract.updated.sent.to.oem",
        EventKind.CONTRACT_DELETED_SENT: "mo.contract.deleted.sent.to.oem",
        EventKind.CONTRACT_REJECTED: "mo.contract.rejected.by.oem",
        EventKind.CONTRACT_QUEUED: "mo.contract.queued.to.oem",
        EventKind.CONTRACT_DELIVERED: "mo.contract.delivered.to.oem",
    }
)
_KINDS = {name: kind for kind, name in NAMES.items()} | {
    "mo.prov.cert.updated.factory.reset": EventKind.VEHICLE_RESET  # deprecated, still in the schema
}


def event_kinds(names: Sequence[str]) -> tuple[EventKind, ...]:
    """Raises Refused (ENDPOINT_EVENTS) for a name that OPCP does not have."""
    if unknown := [name for name in names if name not in _KINDS]:
        raise Refused(Refusal.ENDPOINT_EVENTS, ", ".join(unknown)[:300])
    return tuple(dict.fromkeys(_KINDS[name] for name in names))


def event_body(delivery: Delivery) -> bytes:
    """The body of a webhook: the same octets for the same event."""
    about_root = "root_id" in delivery.body
    return msgspec.json.encode(
        {
            "timestamp": timestamp(delivery.created),
            "eventId": delivery.event_id,
            "eventType": NAMES[delivery.kind],
            "xsdMsgDefNamespace": delivery.namespace,
            "payload": _root(delivery.body) if about_root else _contract(delivery.body),
        }
    )


def _root(body: Mapping[str, Any]) -> dict[str, str]:
    return {
        "rootCertificateId": body["root_id"],
        "distinguishedName": body["distinguished_name"],
        "commonName": body["common_name"],
        "rootType": body["root_type"],
        "rootSerialNumber": body["serial"],
        "signatureAlgorithm": body["curve"],
        "fingerprintSHA256": body["fingerprint"],
    }


def _contract(body: Mapping[str, Any]) -> dict[str, str]:
    payload = {
        "emaid": body["emaid"],
        "pcid": body["pcid"],
        "contractCert": base64_text(bytes.fromhex(body["certificate"])),
        "cpsSignerRootFingerprint": body["cps_root_fingerprint"],
        "cpsSignerRootCommonName": body["cps_root_name"],
        "signatureAlgorithm": body["curve"],
    }
    return {name: value for name, value in payload.items() if value}
