"""CPS: PUT /v1/cps/contractData/signed, the two deprecated calls, generate, and GET /cps/signer."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from starlette.responses import Response
from starlette.routing import Route

from backends.api.errors import json_response
from backends.api.operations import Api, Call
from backends.api.strict_json import MalformedBody
from backends.opcp.fields import MAX_CERTIFICATE, base64_text, timestamp
from backends.pools.certificates import read_certificate, seconds
from backends.pools.contract_data import ContractData
from backends.pools.editions import edition
from backends.pools.identifiers import emaid_key, normalised_emaid, pcid_key
from backends.pools.provisioning_service import ContractOrder, ProvisioningService, Signing, UsableSigner
from backends.refusals import Refusal, Refused
from v2g.certificates import describe
from v2g.contract_key import SealedKey

BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_BASE64 = re.compile(BASE64.removesuffix("$"), re.ASCII)
_URL = re.compile(r"https?://[-a-zA-Z0-9+&@#/%?=~_|!:,.;]*[-a-zA-Z0-9+&@#/%=~_|]", re.ASCII)
MAX_SUB_CAS = 2


class Contract(msgspec.Struct, rename="camel"):
    """ContractData."""

    contract_certificate: str
    contract_sub_ca1_certificate: str
    contract_signature_encrypted_private_key: str
    d_hpublickey: str = msgspec.field(name="dHpublickey")
    contract_sub_ca2_certificate: str | None = None


class SignedContractDataRequest(msgspec.Struct, rename="camel"):
    """Body of PUT contractData/signed."""

    contract_data: Contract
    xsd_msg_def_namespace: str
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")
    pcid: str | None = None


class CertChain(msgspec.Struct, rename="camel"):
    """Of the deprecated calls: Sub-CA 2, then Sub-CA 1."""

    certificate: str = msgspec.field(name="contractSignatureCertChainCertificate")
    sub_certificates: list[str] = msgspec.field(name="contractSignatureCertChainSubCertificates")


class ChainedContract(msgspec.Struct, rename="camel"):
    """contract-data of the deprecated calls."""

    contract_signature_cert_chain: CertChain
    contract_signature_encrypted_private_key: str
    d_hpublickey: str = msgspec.field(name="dHpublickey")
    emaid: str


class CreateSignedContractDataRequest(msgspec.Struct, rename="camel"):
    """Body of the deprecated calls."""

    contract_data: ChainedContract
    pcid: str
    emaid: str
    xsd_msg_def_namespace: str | None = None
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class GenerateRequest(msgspec.Struct, rename="camel"):
    """Body of PUT generate."""

    contract_begins: str
    contract_ends: str
    emaid: str
    pcid: str
    xsd_msg_def_namespace: str
    subscription_url: str | None = None
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class SignedContract(msgspec.Struct, rename="camel", omit_defaults=True):
    """Answer of the signing calls."""

    emaid: str
    xsd_msg_def_namespace: str
    signed_data: str
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint")
    cps_root_distinguished_name: str
    pcid: str | None = None


class CpsCertificate(msgspec.Struct, rename="camel", omit_defaults=True):
    """A signer in the list."""

    cps_distinguished_name: str
    cps_certificate: str
    valid_from: str
    valid_to: str
    organization_name: str
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint")
    cps_root_distinguished_name: str
    cps_sub_ca1_certificate: str
    xsd_msg_def_namespace: str
    cps_sub_ca2_certificate: str | None = None


def contract_data(body: SignedContractDataRequest) -> ContractData:
    """The body in the words of the pool. Raises MalformedBody, Refused (CERTIFICATE_FORMAT)."""
    data = body.contract_data
    namespace = edition(body.xsd_msg_def_namespace)
    leaf = _octets(data.contract_certificate, "contractCertificate")
    subs = [
        (_octets(text, f"contractSubCa{number}Certificate"), f"contract sub-CA {number}")
        for number, text in ((2, data.contract_sub_ca2_certificate), (1, data.contract_sub_ca1_certificate))
        if text is not None
    ]
    key = _sealed(data.contract_signature_encrypted_private_key, data.d_hpublickey)
    field = "contract certificate"
    return ContractData(
        namespace, read_certificate(leaf, field), tuple(read_certificate(*sub) for sub in subs), key, field
    )


def chained_contract_data(body: CreateSignedContractDataRequest) -> ContractData:
    """The deprecated body. Raises MalformedBody, Refused."""
    pcid_key(body.pcid)
    wanted = emaid_key(body.emaid)
    namespace = edition(body.xsd_msg_def_namespace)
    chain = body.contract_data.contract_signature_cert_chain
    leaf = _octets(chain.certificate, "contractSignatureCertChain.contractSignatureCertChainCertificate")
    key = _sealed(body.contract_data.contract_signature_encrypted_private_key, body.contract_data.d_hpublickey)
    subs_field = "contract sub-CAs"
    if not 1 <= len(chain.sub_certificates) <= MAX_SUB_CAS:
        detail = f"{len(chain.sub_certificates)} certificates, 1 to {MAX_SUB_CAS} are taken"
        raise Refused(Refusal.CERTIFICATE_FORMAT, detail, field=subs_field)
    subs = [_sub_ca(text, subs_field) for text in chain.sub_certificates]
    field = "chained contract certificate"
    data = ContractData(namespace, read_certificate(leaf, field), tuple(subs), key, field)
    for said in (wanted, emaid_key(body.contract_data.emaid)):
        if said != emaid_key(data.emaid):
            raise Refused(Refusal.EMAID_MISMATCH, f"the contract certificate says {data.emaid}")
    return data


def _sub_ca(text: str, field: str) -> Certificate:
    if len(text) > MAX_CERTIFICATE or not text or not _BASE64.fullmatch(text):
        raise Refused(Refusal.CERTIFICATE_FORMAT, "not base64 of DER", field=field, received=text[:MAX_CERTIFICATE])
    return read_certificate(base64.b64decode(text), field)


def _octets(text: str, name: str) -> bytes:
    if len(text) > MAX_CERTIFICATE:
        raise MalformedBody(f"contractData.{name} : {len(text)} characters, at most {MAX_CERTIFICATE} are taken")
    if not text or not _BASE64.fullmatch(text):
        raise MalformedBody(f'contractData.{name} : must match "{BASE64}"', text)
    return base64.b64decode(text)


def _sealed(encrypted: str, public: str) -> SealedKey:
    return SealedKey(_octets(encrypted, "contractSignatureEncryptedPrivateKey"), _octets(public, "dHpublickey"))


def _moment(text: str, field: str) -> datetime:
    """RFC 3339; without a zone it is UTC. Raises MalformedBody."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedBody(f"The {field} does not match the specification", text[:64]) from None


def signed_contract(done: Signing, pcid: str | None) -> SignedContract:
    """The answer to an MO."""
    data, root = done.data, done.signer.root
    return SignedContract(
        emaid=data.emaid,
        xsd_msg_def_namespace=data.namespace,
        signed_data=base64_text(data.xml),
        root=root.id,
        cps_root_distinguished_name=root.distinguished_name,
        pcid=pcid,
    )


def cps_certificate(one: UsableSigner) -> CpsCertificate:
    """A signer in the list."""
    leaf, subs = one.signer.leaf, one.signer.sub_cas
    return CpsCertificate(
        cps_distinguished_name=describe(leaf.subject),
        cps_certificate=base64_text(leaf.dump()),
        valid_from=timestamp(seconds(leaf.not_valid_before)),
        valid_to=timestamp(seconds(leaf.not_valid_after)),
        organization_name=_text(leaf.subject.native.get("organization_name")),
        root=one.root.id,
        cps_root_distinguished_name=one.root.distinguished_name,
        cps_sub_ca1_certificate=base64_text(subs[-1].dump()),
        cps_sub_ca2_certificate=base64_text(subs[0].dump()) if len(subs) > 1 else None,
        xsd_msg_def_namespace=one.signer.namespace,
    )


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, list) else value
    return str(first or "unknown")  # the schema wants one character at least


def signing_routes(api: Api, service: ProvisioningService) -> list[Route]:
    """The routes of the certificate provisioning service."""

    async def sign(call: Call[SignedContractDataRequest]) -> Response:
        data, body = contract_data(call.body), call.body
        work = service.sign_and_store if body.pcid else service.sign
        done = await work(data, pcid=body.pcid or "", cps_root=body.root, principal=call.principal)
        return json_response(signed_contract(done, body.pcid or None), 201)

    async def sign_only(call: Call[CreateSignedContractDataRequest]) -> Response:
        data, body = chained_contract_data(call.body), call.body
        done = await service.sign(
            data, pcid=body.pcid, cps_root=body.root, principal=call.principal, operation="contract.forward"
        )
        return json_response(signed_contract(done, body.pcid))

    async def forward(call: Call[CreateSignedContractDataRequest]) -> Response:
        data, body = chained_contract_data(call.body), call.body
        await service.sign_and_store(
            data, pcid=body.pcid, cps_root=body.root, principal=call.principal, operation="contract.forward"
        )
        return json_response({}, 201)

    async def generate(call: Call[GenerateRequest]) -> Response:
        body = call.body
        pcid_key(body.pcid)
        normalised_emaid(body.emaid)
        order = ContractOrder(
            emaid=body.emaid,
            pcid=body.pcid,
            namespace=edition(body.xsd_msg_def_namespace),
            begins=_moment(body.contract_begins, "contractBegins"),
            ends=_moment(body.contract_ends, "contractEnds"),
        )
        if body.subscription_url and not _URL.fullmatch(body.subscription_url):
            raise MalformedBody("subscriptionUrl : must be an http or https URL", body.subscription_url[:200])
        await service.generate(order, cps_root=body.root, principal=call.principal)
        return Response(status_code=201)

    async def signers(_call: Call[None]) -> Response:
        return json_response({"cpsCertificates": _certificates(await service.signers())})

    return [
        api.route("PUT", "/v1/cps/contractData/signed", "contract.sign", sign, body=SignedContractDataRequest),
        api.route(
            "PUT", "/v1/cps/signedContractData", "contract.forward", sign_only, body=CreateSignedContractDataRequest
        ),
        api.route(
            "PUT",
            "/v1/cps/forward/signedContractData",
            "contract.forward",
            forward,
            body=CreateSignedContractDataRequest,
        ),
        api.route("PUT", "/v1/cps/generate/signedContractData", "contract.generate", generate, body=GenerateRequest),
        api.route("GET", "/cps/signer", "contract.signer", signers),
    ]


def _certificates(found: Sequence[UsableSigner]) -> list[CpsCertificate]:
    return [cps_certificate(one) for one in found if one.signer.sub_cas]
