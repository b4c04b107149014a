"""PCP: PUT /v1/oem/provCerts, GET and DELETE /v1/oem/provCerts/{pcid}, GET /v1/oem/provCerts/lookupVehicle/{pcid}."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response
from starlette.routing import Route

from backends.api.errors import json_response
from backends.api.operations import Api, Call
from backends.api.strict_json import MalformedBody
from backends.opcp.fields import base64_text, certificate_octets, colon_hex, plain_hex
from backends.pools.editions import edition
from backends.pools.provisioning_pool import LEAF, SUB_CA_1, SUB_CA_2, Offer, ProvisioningPool, Vehicle

PROV_CERTS = "/v1/oem/provCerts"


class ProvisioningCertificate(msgspec.Struct, rename="camel"):
    """Body of PUT; the names announced for later releases are taken, too."""

    sub_ca1: str | UnsetType = msgspec.field(name="subCA1Certificate", default=UNSET)
    sub_ca2: str | UnsetType = msgspec.field(name="subCA2Certificate", default=UNSET)
    vehicle_certificate: str | UnsetType = UNSET
    later_sub_ca1: str | UnsetType = msgspec.field(name="subCa1Certificate", default=UNSET)
    later_sub_ca2: str | UnsetType = msgspec.field(name="subCa2Certificate", default=UNSET)
    provisioning_certificate: str | UnsetType = UNSET
    xsd_msg_def_namespace: str | UnsetType = UNSET
    key_identifiers: Annotated[list[str], Meta(min_length=1)] | UnsetType = msgspec.field(
        name="v2gRootAuthorityKeyIdentifiers", default=UNSET
    )
    key_identifier: str | UnsetType = msgspec.field(name="v2gRootAuthorityKeyIdentifier", default=UNSET)
    previous_pcid: str | UnsetType = UNSET


class ProvisioningCertificateData(msgspec.Struct, rename="camel", omit_defaults=True):
    """Body of the answers."""

    sub_ca1_certificate: str = msgspec.field(name="subCA1Certificate")
    vehicle_certificate: str
    xsd_msg_def_namespace: str
    root_issuer_distinguished_name: str
    root_issuer_serial_number: str
    root_authority_key_identifier: str
    fingerprint: str
    sub_ca2_certificate: str | None = msgspec.field(name="subCA2Certificate", default=None)
    v2g_root_authority_key_identifiers: list[str] | None = msgspec.field(
        name="v2gRootAuthorityKeyIdentifiers", default=None
    )
    previous_pcid: str | None = None


def offer(body: ProvisioningCertificate) -> Offer:
    """The body in the words of the pool. Raises MalformedBody (a field is missing), Refused (format)."""
    leaf = _first(body.vehicle_certificate, body.provisioning_certificate)
    sub_ca_1 = _first(body.sub_ca1, body.later_sub_ca1)
    sub_ca_2 = _first(body.sub_ca2, body.later_sub_ca2)
    if leaf is None or sub_ca_1 is None:
        name = "vehicleCertificate" if leaf is None else "subCA1Certificate"
        raise MalformedBody(f"{name} : must not be null")
    identifiers = body.key_identifiers or []
    if len(set(identifiers)) < len(identifiers):
        raise MalformedBody("v2gRootAuthorityKeyIdentifiers : the same key identifier appears twice")
    if body.key_identifier:
        identifiers = [*identifiers, body.key_identifier]
    return Offer(
        certificate=certificate_octets(leaf, LEAF),
        sub_ca_2=None if sub_ca_2 is None else certificate_octets(sub_ca_2, SUB_CA_2),
        sub_ca_1=certificate_octets(sub_ca_1, SUB_CA_1),
        namespace=edition(body.xsd_msg_def_namespace or None),
        v2g_root_key_identifiers=tuple(dict.fromkeys(plain_hex(one) for one in identifiers)),
        previous_pcid=_first(body.previous_pcid),
    )


def _first(*values: str | UnsetType) -> str | None:
    return next((value for value in values if value is not UNSET), None)


def provisioning_certificate_data(vehicle: Vehicle) -> ProvisioningCertificateData:
    """An entry as OPCP shows it."""
    return ProvisioningCertificateData(
        sub_ca1_certificate=base64_text(vehicle.sub_ca_1),
        sub_ca2_certificate=None if vehicle.sub_ca_2 is None else base64_text(vehicle.sub_ca_2),
        vehicle_certificate=base64_text(vehicle.certificate),
        xsd_msg_def_namespace=vehicle.namespace,
        root_issuer_distinguished_name=vehicle.root.distinguished_name,
        root_issuer_serial_number=vehicle.root.serial,
        root_authority_key_identifier=colon_hex(vehicle.root.key_identifier),
        fingerprint=vehicle.fingerprint,
        v2g_root_authority_key_identifiers=[colon_hex(one) for one in vehicle.v2g_root_key_identifiers] or None,
        previous_pcid=vehicle.previous_pcid or None,
    )


def provisioning_routes(api: Api, pool: ProvisioningPool) -> list[Route]:
    """The routes of the provisioning certificate pool."""

    async def put(call: Call[ProvisioningCertificate]) -> Response:
        return json_response(provisioning_certificate_data(await pool.put(offer(call.body), call.principal)))

    async def get(call: Call[None]) -> Response:
        call.flag("broadcast")  # a loop guard between ecosystems; everything is answered from here anyway
        vehicle = await pool.get(call.path("pcid"), call.principal)
        return json_response({"OEMMessage": provisioning_certificate_data(vehicle)})

    async def lookup(call: Call[None]) -> Response:
        await pool.lookup(call.path("pcid"), call.principal)
        return Response(status_code=200)

    async def delete(call: Call[None]) -> Response:
        # X-Factory-Reset is ours: OPCP has the event and no way to ask for it
        reset = call.flag("X-Factory-Reset")
        await pool.delete(call.path("pcid"), call.principal, factory_reset=reset)
        return Response(status_code=200)

    return [
        api.route("PUT", PROV_CERTS, "provisioning.put", put, body=ProvisioningCertificate),
        api.route("GET", PROV_CERTS + "/lookupVehicle/{pcid}", "provisioning.lookup", lookup),
        api.route("GET", PROV_CERTS + "/{pcid}", "provisioning.get", get),
        api.route("DELETE", PROV_CERTS + "/{pcid}", "provisioning.delete", delete),
    ]
