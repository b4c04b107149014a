"""CCP: POST and PUT /v1/ccp/signedContractData, DELETE, provide, default, lookup and list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from backends.api.errors import json_response
from backends.api.operations import Api, Call
from backends.opcp.fields import MAX_CERTIFICATE, base64_text, timestamp
from backends.pools.certificates import read_certificate, seconds
from backends.pools.contract_pool import CONTRACT, ContractPool, Delivery
from backends.pools.contract_rows import Signed
from backends.pools.contract_update import ContractUpdates
from backends.pools.editions import edition
from backends.pools.identifiers import emaid_key, pcid_key
from backends.pools.installation import MAX_OCTETS, read_request, refusal, session_id_of
from backends.refusals import Refusal, Refused

SIGNED = "/v1/ccp/signedContractData"
MAX_XML = 64 * 1024  # characters of base64; signed contract data have some 13 000


class GetSignedContractData(msgspec.Struct, rename="camel"):
    """Body of POST."""

    certificate_installation_req: str
    xsd_msg_def_namespace: str | None = None


class SignedContractData(msgspec.Struct, rename="camel"):
    """Body of PUT."""

    emaid: str
    pcid: str
    signed_contract_data_xml: str = msgspec.field(name="signedContractDataXML")
    xsd_msg_def_namespace: str | None = None
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class MessageDef(msgspec.Struct, rename="camel", omit_defaults=True):
    """One answer for a vehicle."""

    certificate_installation_res: str
    emaid: str = ""
    meta_data: str = ""
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class ProvidedContract(msgspec.Struct, rename="camel"):
    """An answer for an OEM."""

    certificate_installation_res: str
    xsd_msg_def_namespace: str
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint")


class ShownContract(msgspec.Struct, rename="camel"):
    """A contract in a list. The schema has the patterns of the last two swapped; the values go where the names say."""

    pcid: str
    emaid: str
    xsd_msg_def_namespace: str
    contract_certificate: str
    default_contract: bool
    cert_valid_from: str
    cert_valid_to: str
    dn: str = msgspec.field(name="cpsRootCertificateDN")
    distinguished_name: str = msgspec.field(name="cpsRootDistinguishedName")
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint")


def ccp_response(definitions: Sequence[MessageDef], status: int = 200) -> Response:
    """CCPResponse, for vehicles."""
    content = [{"messageDef": one} for one in definitions]
    return json_response({"CCPResponse": {"emaidContent": content}}, status)


def message_def(delivery: Delivery) -> MessageDef:
    """One answer."""
    return MessageDef(base64_text(delivery.message), delivery.emaid, delivery.note, delivery.cps_root_id)


def shown(one: Signed) -> ShownContract:
    """A contract in a list."""
    certificate = read_certificate(one.contract_certificate, CONTRACT)
    return ShownContract(
        pcid=one.pcid,
        emaid=one.emaid,
        xsd_msg_def_namespace=one.namespace,
        contract_certificate=base64_text(one.contract_certificate),
        default_contract=one.is_default,
        cert_valid_from=timestamp(seconds(certificate.not_valid_before)),
        cert_valid_to=timestamp(seconds(certificate.not_valid_after)),
        dn=one.cps_root_name,
        distinguished_name=one.cps_root_name,
        root=one.cps_root_id,
    )


def octets_of(text: str, reason: Refusal, limit: int) -> bytes:
    """Base64; clients break its lines. Raises Refused of this reason."""
    if len(text) > limit:
        raise Refused(reason, f"{len(text)} characters, at most {limit} are taken", received=text[:MAX_CERTIFICATE])
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(reason, f"not base64: {error}", received=text[:MAX_CERTIFICATE]) from error


def contract_routes(api: Api, pool: ContractPool, updates: ContractUpdates) -> list[Route]:
    """The routes of the contract certificate pool."""

    async def request(call: Call[GetSignedContractData]) -> Response:
        always_exi = call.flag("alwaysReturnEXI", default=True)
        call.flag("broadcast")  # a loop guard between ecosystems; everything is answered from here anyway
        namespace = edition(call.body.xsd_msg_def_namespace)
        octets = octets_of(call.body.certificate_installation_req, Refusal.REQUEST_FORMAT, MAX_OCTETS * 2)
        asked = read_request(octets, namespace)
        try:
            if asked.update_of:
                return ccp_response([message_def(await updates.request(asked, call.principal.client_id))])
            return ccp_response([message_def(one) for one in await pool.request(asked)])
        except Refused as refused:
            if not always_exi or refused.reason is Refusal.REQUEST_FORMAT:
                raise
            return ccp_response([MessageDef(base64_text(refusal(asked, refused, pool.now())))], 404)

    async def put(call: Call[SignedContractData]) -> Response:
        body = call.body
        pcid_key(body.pcid)
        emaid_key(body.emaid)
        await pool.put(
            octets_of(body.signed_contract_data_xml, Refusal.CONTRACT_DATA_FORMAT, MAX_XML),
            pcid=body.pcid,
            emaid=body.emaid,
            namespace=edition(body.xsd_msg_def_namespace),
            cps_root=body.root,
            principal=call.principal,
        )
        return Response(status_code=201)

    async def delete(call: Call[None]) -> Response:
        skip = call.flag("X-Skip-Revocation")
        await pool.delete(call.path("emaid"), call.principal, skip_revocation=skip)
        return Response(status_code=200)

    async def provide(call: Call[None]) -> Response:
        query = call.request.query_params
        pcid_key(call.path("pcid"))
        emaid_key(call.path("emaid"))
        delivery = await pool.provide(
            call.path("emaid"),
            call.path("pcid"),
            session_id=session_id_of(query.get("sessionID", "")) or b"\0",
            namespace=edition(query.get("xsdMsgDefNamespace")),
            cps_root=query.get("cpsV2GRootCertificateFingerprint", ""),
            principal=call.principal,
        )
        return json_response(ProvidedContract(base64_text(delivery.message), delivery.namespace, delivery.cps_root_id))

    async def set_default(call: Call[None]) -> Response:
        await pool.set_default(call.path("pcid"), call.path("emaid"), call.principal)
        return Response(status_code=200)

    async def lookup(call: Call[None]) -> Response:
        query = call.request.query_params
        found = await pool.lookup(
            call.path("emaid"),
            edition(query.get("xsdMsgDefNamespace")),
            query.get("cpsV2GRootCertificateFingerprint", ""),
            call.principal,
        )
        if not found:
            return Response(status_code=404)  # without a body
        return json_response({"XMLContracts": [shown(one) for one in found]})

    async def list_all(call: Call[None]) -> Response:
        namespace = edition(call.request.query_params.get("xsdMsgDefNamespace"))
        found = await pool.list(call.path("pcid"), namespace, call.principal)
        return json_response({"XMLContracts": [shown(one) for one in found]})

    return [
        api.route("POST", SIGNED, "contract.request", request, body=GetSignedContractData),
        api.route("PUT", SIGNED, "contract.put", put, body=SignedContractData),
        api.route("DELETE", SIGNED + "/{emaid}", "contract.delete", delete),
        api.route("GET", SIGNED + "/{pcid}", "contract.list", list_all),
        api.route("POST", SIGNED + "/{pcid}/{emaid}/default", "contract.set_default", set_default),
        api.route("GET", "/v1/ccp/provideSignedContractData/{emaid}/{pcid}", "contract.provide", provide),
        api.route("GET", "/v1/ccp/lookupContract/{emaid}", "contract.lookup", lookup),
    ]
