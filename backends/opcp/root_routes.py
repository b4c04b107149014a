"""RCP: GET, PUT, DELETE /v1/root/rootCerts, GET /v1/root/ctl."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from backends.api.errors import error_response, json_response
from backends.api.operations import Api, Call
from backends.api.strict_json import MalformedBody
from backends.opcp.fields import base64_text, certificate_octets, timestamp
from backends.pools.certificates import curve_of
from backends.pools.editions import edition_of_curve
from backends.pools.root_pool import FIELD, Root, RootPool, RootType

ROOT_CERTS = "/v1/root/rootCerts"
QUERY_TYPES = {"mo": RootType.MO, "v2g": RootType.V2G, "oem": RootType.OEM}


class RootCertBody(msgspec.Struct, rename="camel"):
    """Body of PUT."""

    ca_certificate: str
    root_type: Literal["MO", "V2G", "OEM", "PE"]


class RootCert(msgspec.Struct, rename="camel", omit_defaults=True):
    """RootCertV2."""

    root_certificate_id: str
    distinguished_name: str
    root_type: str
    ca_certificate: str
    common_name: str
    root_authority_key_identifier: str
    root_authority_key_identifier_hex: str
    root_issuer_serial_number: str
    valid_from: str
    valid_to: str
    organization_name: str
    fingerprint: str
    fingerprint_sha1: str
    xsd_msg_def_namespace: str
    signature_algorithm: str


@lru_cache(maxsize=256)
def root_cert(root: Root) -> RootCert:
    """A root as OPCP shows it."""
    subject = root.x509.subject.native
    curve = curve_of(root.x509)
    return RootCert(
        root_certificate_id=root.id,
        distinguished_name=root.distinguished_name,
        root_type=root.root_type.value,
        ca_certificate=base64_text(root.certificate),
        common_name=_first(subject.get("common_name")),
        root_authority_key_identifier=base64_text(bytes.fromhex(root.key_identifier)),
        root_authority_key_identifier_hex=root.key_identifier,
        root_issuer_serial_number=root.serial,
        valid_from=timestamp(root.valid_from),
        valid_to=timestamp(root.valid_to),
        organization_name=_first(subject.get("organization_name")),
        fingerprint=root.fingerprint,
        fingerprint_sha1=hashlib.sha1(root.certificate, usedforsecurity=False).hexdigest(),
        xsd_msg_def_namespace=edition_of_curve(curve),
        signature_algorithm=curve,
    )


def _first(value: object) -> str:
    return str(value[0] if isinstance(value, list) else value or "")


def root_routes(api: Api, pool: RootPool) -> list[Route]:
    """The routes of the root certificate pool."""

    async def get_all(call: Call[None]) -> Response:
        wanted = call.request.query_params.getlist("rootType")
        if wanted and (len(wanted) > 1 or wanted[0] not in QUERY_TYPES):
            raise MalformedBody(f"rootType : must be one of {', '.join(QUERY_TYPES)}", wanted[0][:64])
        roots = await pool.list(QUERY_TYPES[wanted[0]] if wanted else None)
        return json_response({"RootCertificateCollection": {"rootCertificates": [root_cert(root) for root in roots]}})

    async def get_one(call: Call[None]) -> Response:
        return json_response({"RootResponse": root_cert(await pool.get(call.path("rootCertificateId")))})

    async def put(call: Call[RootCertBody]) -> Response:
        octets = certificate_octets(call.body.ca_certificate, FIELD)
        root = await pool.put(octets, RootType(call.body.root_type), call.principal)
        return json_response(root_cert(root))

    async def delete(call: Call[None]) -> Response:
        await pool.delete(call.path("rootCertificateId"), call.principal)
        return Response(status_code=200)

    async def get_ctl(call: Call[None]) -> Response:
        return error_response(404, "No certificate trust list is configured.", trace_id=call.trace_id)

    return [
        api.route("GET", ROOT_CERTS, "root.list", get_all),
        api.route("PUT", ROOT_CERTS, "root.put", put, body=RootCertBody),
        api.route("GET", ROOT_CERTS + "/{rootCertificateId}", "root.get", get_one),
        api.route("DELETE", ROOT_CERTS + "/{rootCertificateId}", "root.delete", delete),
        api.route("GET", "/v1/root/ctl", "root.ctl", get_ctl),
    ]
