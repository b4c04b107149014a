"""Events: written with their deliveries in the transaction of the change that they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import sqlalchemy as sa

from backends.access import PROVIDER_LENGTH, WMI_LENGTH
from backends.store.ids import new_id
from backends.store.schema import DELIVERIES, EVENTS, WEBHOOK_ENDPOINTS


class EventKind(StrEnum):
    """What happened, in our own words; facades have names for them."""

    ROOT_ADDED = "root added"
    ROOT_EXPIRED = "root expired"
    ROOT_REVOKED = "root revoked"
    VEHICLE_UPDATED = "vehicle updated"
    VEHICLE_DELETED = "vehicle deleted"
    VEHICLE_RESET = "vehicle reset"
    CONTRACT_CREATED = "contract created"
    CONTRACT_UPDATED = "contract updated"
    CONTRACT_DELETED = "contract deleted"
    CONTRACT_CREATED_SENT = "contract created, OEM told"
    CONTRACT_UPDATED_SENT = "contract updated, OEM told"
    CONTRACT_DELETED_SENT = "contract deleted, OEM told"
    CONTRACT_REJECTED = "contract rejected by OEM"
    CONTRACT_QUEUED = "contract queued for OEM"
    CONTRACT_DELIVERED = "contract delivered"


class Audience(StrEnum):
    """Whose endpoints get an event."""

    ALL = "all"
    MO = "MO of the provider id"
    OEM = "OEM of the WMI"


AUDIENCES: Mapping[EventKind, Audience] = MappingProxyType(
    {
        EventKind.ROOT_ADDED: Audience.ALL,
        EventKind.ROOT_EXPIRED: Audience.ALL,
        EventKind.ROOT_REVOKED: Audience.ALL,
        EventKind.VEHICLE_UPDATED: Audience.MO,
        EventKind.VEHICLE_DELETED: Audience.MO,
        EventKind.VEHICLE_RESET: Audience.MO,
        EventKind.CONTRACT_CREATED: Audience.OEM,
        EventKind.CONTRACT_UPDATED: Audience.OEM,
        EventKind.CONTRACT_DELETED: Audience.OEM,
        EventKind.CONTRACT_CREATED_SENT: Audience.MO,
        EventKind.CONTRACT_UPDATED_SENT: Audience.MO,
        EventKind.CONTRACT_DELETED_SENT: Audience.MO,
        EventKind.CONTRACT_REJECTED: Audience.MO,
        EventKind.CONTRACT_QUEUED: Audience.MO,
        EventKind.CONTRACT_DELIVERED: Audience.MO,
    }
)

ENABLED, DISABLED = "enabled", "disabled"
WAITING = "waiting"


def emit(
    connection: sa.Connection,
    kind: EventKind,
    *,
    at: int,
    namespace: str,
    body: Mapping[str, object],
    pcid: str = "",
    emaid: str = "",
    subject: str = "",
    cause: str | None = None,
) -> str:
    """Write an event and one waiting delivery per endpoint that is to get it; returns the event's id.

    at: UTC seconds since 1970. namespace: of the ISO 15118 edition. body: see `root_body` and `contract_body`.
    pcid, emaid: what it is about, any spelling; they decide whose endpoints get it. cause: id of the event whose
    delivery made this one; such a pair is written once only.
    """
    event_id = new_id(connection)
    event = {
        "id": event_id,
        "event_type": kind.value,
        "subject": (subject or emaid or pcid)[:64],
        "wmi": pcid[:WMI_LENGTH].upper(),
        "provider_id": emaid.replace("-", "")[:PROVIDER_LENGTH].upper(),
        "namespace": namespace,
        "body": dict(body),
        "created": at,
        "cause": cause,
    }
    sequence = connection.execute(EVENTS.insert().values(event).returning(EVENTS.c.sequence)).scalar_one()
    deliveries = [
        {
            "event": sequence,
            "endpoint_id": row.id,
            "subject": event["subject"],
            "state": WAITING,
            "attempts": 0,
            "due": at,
            "leased_until": 0,
        }
        for row in connection.execute(sa.select(WEBHOOK_ENDPOINTS).where(WEBHOOK_ENDPOINTS.c.status == ENABLED))
        if kind in row.enabled_events and _is_for(AUDIENCES[kind], event, row)
    ]
    if deliveries:
        connection.execute(DELIVERIES.insert(), deliveries)
    return event_id


def _is_for(audience: Audience, event: Mapping[str, object], endpoint: sa.Row[tuple[object, ...]]) -> bool:
    if audience is Audience.ALL:
        return True
    if audience is Audience.MO:
        return event["provider_id"] in endpoint.provider_ids
    return event["wmi"] in endpoint.wmis


def contract_body(
    *,
    emaid: str,
    pcid: str,
    certificate: bytes = b"",
    cps_root_fingerprint: str = "",
    cps_root_name: str = "",
    curve: str = "",
) -> dict[str, object]:
    """Body of an event about a contract or a vehicle. certificate: DER of the contract's leaf."""
    return {
        "emaid": emaid,
        "pcid": pcid,
        "certificate": certificate.hex(),
        "cps_root_fingerprint": cps_root_fingerprint,
        "cps_root_name": cps_root_name,
        "curve": curve,
    }


def root_body(
    *,
    root_id: str,
    distinguished_name: str,
    common_name: str,
    root_type: str,
    serial: str,
    curve: str,
    fingerprint: str,
) -> dict[str, object]:
    """Body of an event about a root."""
    return {
        "root_id": root_id,
        "distinguished_name": distinguished_name,
        "common_name": common_name,
        "root_type": root_type,
        "serial": serial,
        "curve": curve,
        "fingerprint": fingerprint,
    }
