"""Client of OPCP v1 pools (Open Plug & Charge Protocol 1.0.0): every operation, for every role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx

from backend_client.opcp_messages import (
    ISO2,
    CcpResponse,
    ContractData,
    Endpoint,
    InstallationAnswer,
    ListedContract,
    ListedContracts,
    OpcpError,
    Provided,
    Root,
    RootCollection,
    RootResponse,
    SignedContract,
    Signer,
    Signers,
    Vehicle,
    VehicleResponse,
    octets,
    text,
)
from backend_client.opcp_session import Answer, Credentials, OpcpSession, decode, error_of
from ports.clock import Clock

__all__ = ["ContractData", "Credentials", "InstallationAnswer", "OpcpClient", "OpcpError"]

T = TypeVar("T")
STATION_S = 4.0  # a station has 4.5 s from the vehicle's request to its answer (EVerest, EvseV2G iso_server.cpp)
_GONE = frozenset({404})


class OpcpClient:
    """One client, one role. `async with` closes it.

    Every operation raises OpcpError (the pool's texts and traceId) and RigError. deadline_s: seconds for all of it:
    token, repeats and pauses; None = the client's timeout.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        clock: Clock,
        *,
        token_url: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `OpcpSession`."""
        self._session = OpcpSession(
            url, credentials, clock, token_url=token_url, ca_file=ca_file, timeout_s=timeout_s, transport=transport
        )

    async def __aenter__(self) -> OpcpClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; harmless when closed."""
        await self._session.close()

    # --- root certificates -------------------------------------------------------------------------------------------

    async def roots(self, root_type: str = "", *, deadline_s: float | None = None) -> Sequence[Root]:
        """All roots, or those of "mo", "v2g", "oem"."""
        params = {"rootType": root_type} if root_type else {}
        found = await self._get("/v1/root/rootCerts", RootCollection, params, deadline_s)
        return found.collection.root_certificates

    async def root(self, root_id: str, *, deadline_s: float | None = None) -> Root:
        """One root."""
        return (await self._get(f"/v1/root/rootCerts/{_part(root_id)}", RootResponse, {}, deadline_s)).root

    async def add_root(self, certificate: bytes, root_type: str, *, deadline_s: float | None = None) -> None:
        """certificate: DER. root_type: MO, V2G, OEM, PE."""
        body = {"caCertificate": text(certificate), "rootType": root_type}
        await self._do("PUT", "/v1/root/rootCerts", body, deadline_s, repeatable=True)

    async def delete_root(self, root_id: str, *, deadline_s: float | None = None) -> None:
        """Remove a root."""
        await self._delete(f"/v1/root/rootCerts/{_part(root_id)}", deadline_s)

    # --- provisioning certificates -----------------------------------------------------------------------------------

    async def publish_vehicle(
        self,
        certificate: bytes,
        sub_ca_1: bytes,
        sub_ca_2: bytes | None = None,
        *,
        namespace: str = ISO2,
        v2g_root_key_identifiers: Sequence[str] = (),
        previous_pcid: str = "",
        deadline_s: float | None = None,
    ) -> Vehicle:
        """Publish or replace a provisioning certificate (DER)."""
        body: dict[str, object] = {
            "vehicleCertificate": text(certificate),
            "subCA1Certificate": text(sub_ca_1),
            "xsdMsgDefNamespace": namespace,
        }
        if sub_ca_2 is not None:
            body["subCA2Certificate"] = text(sub_ca_2)
        if v2g_root_key_identifiers:
            body["v2gRootAuthorityKeyIdentifiers"] = list(v2g_root_key_identifiers)
        if previous_pcid:
            body["previousPcid"] = previous_pcid
        path = "/v1/oem/provCerts"
        return decode(await self._do("PUT", path, body, deadline_s, repeatable=True), Vehicle, f"PUT {path}")

    async def vehicle(self, pcid: str, *, deadline_s: float | None = None) -> Vehicle:
        """A vehicle, its chain and status checked by the pool."""
        path = f"/v1/oem/provCerts/{_part(pcid)}"
        answer = await self._session.request("GET", path, repeatable=True, deadline_s=deadline_s)
        return decode(answer, VehicleResponse, f"GET {path}").vehicle

    async def has_vehicle(self, pcid: str, *, deadline_s: float | None = None) -> bool:
        """Whether the pool knows it."""
        path = f"/v1/oem/provCerts/lookupVehicle/{_part(pcid)}"
        answer = await self._session.request("GET", path, repeatable=True, deadline_s=deadline_s, accept=_GONE)
        return answer.status == 200

    async def delete_vehicle(self, pcid: str, *, deadline_s: float | None = None) -> None:
        """Withdraw a vehicle with its contracts."""
        await self._delete(f"/v1/oem/provCerts/{_part(pcid)}", deadline_s)

    # --- signing contracts -------------------------------------------------------------------------------------------

    async def sign_contract(
        self,
        data: ContractData,
        *,
        pcid: str = "",
        namespace: str = ISO2,
        cps_root: str = "",
        deadline_s: float | None = None,
    ) -> SignedContract:
        """Sign; with a PCID it is stored in the CCP, too. Never repeated once it may have arrived."""
        contract = {
            "contractCertificate": text(data.certificate),
            "contractSubCa1Certificate": text(data.sub_ca_1),
            "contractSignatureEncryptedPrivateKey": text(data.encrypted_private_key),
            "dHpublickey": text(data.dh_public_key),
        }
        if data.sub_ca_2 is not None:
            contract["contractSubCa2Certificate"] = text(data.sub_ca_2)
        body: dict[str, object] = {"contractData": contract, "xsdMsgDefNamespace": namespace}
        body |= {"pcid": pcid} if pcid else {}
        body |= {"cpsV2GRootCertificateFingerprint": cps_root} if cps_root else {}
        path = "/v1/cps/contractData/signed"
        answer = await self._do("PUT", path, body, deadline_s, repeatable=not pcid)
        return decode(answer, SignedContract, f"PUT {path}")

    async def generate_contract(
        self,
        emaid: str,
        pcid: str,
        begins: datetime,
        ends: datetime,
        *,
        namespace: str = ISO2,
        cps_root: str = "",
        deadline_s: float | None = None,
    ) -> None:
        """Let the pools' MO CA make and store a contract. Never repeated once it may have arrived."""
        body = {
            "emaid": emaid,
            "pcid": pcid,
            "contractBegins": _time(begins),
            "contractEnds": _time(ends),
            "xsdMsgDefNamespace": namespace,
        }
        body |= {"cpsV2GRootCertificateFingerprint": cps_root} if cps_root else {}
        await self._do("PUT", "/v1/cps/generate/signedContractData", body, deadline_s, repeatable=False)

    async def signers(self, *, deadline_s: float | None = None) -> Sequence[Signer]:
        """The CPS certificates that sign now."""
        return (await self._get("/cps/signer", Signers, {}, deadline_s)).cps_certificates

    # --- contracts ---------------------------------------------------------------------------------------------------

    async def request_contract(
        self, exi: bytes, *, namespace: str = ISO2, always_exi: bool = True, deadline_s: float = STATION_S
    ) -> Sequence[InstallationAnswer]:
        """Forward a vehicle's CertificateInstallationReq or CertificateUpdateReq (EXI); answers are for it as they are.

        A refusal in EXI is an answer, too (`available` is False). Never repeated once it may have arrived.
        """
        path = "/v1/ccp/signedContractData"
        answer = await self._session.request(
            "POST",
            path,
            body={"certificateInstallationReq": text(exi), "xsdMsgDefNamespace": namespace},
            headers={"alwaysReturnEXI": str(always_exi).lower()},
            repeatable=False,
            deadline_s=deadline_s,
            accept=_GONE if always_exi else frozenset(),
        )
        found = decode(answer, CcpResponse, f"POST {path}")
        try:
            return [
                InstallationAnswer(
                    octets(one.message_def.certificate_installation_res),
                    one.message_def.emaid,
                    one.message_def.meta_data,
                    answer.status == 200,
                )
                for one in found.response.emaid_content
            ]
        except ValueError as error:
            raise OpcpError(f"POST {path}", answer.status, (f"an answer is no base64: {error}",)) from None

    async def store_contract(
        self,
        emaid: str,
        pcid: str,
        xml: bytes,
        *,
        namespace: str = ISO2,
        cps_root: str = "",
        deadline_s: float | None = None,
    ) -> None:
        """Store signed contract data (XML) of a CPS."""
        body = {
            "emaid": emaid,
            "pcid": pcid,
            "xsdMsgDefNamespace": namespace,
            "signedContractDataXML": text(xml),
        }
        body |= {"cpsV2GRootCertificateFingerprint": cps_root} if cps_root else {}
        await self._do("PUT", "/v1/ccp/signedContractData", body, deadline_s, repeatable=False)

    async def delete_contract(
        self, emaid: str, *, skip_revocation: bool = False, deadline_s: float | None = None
    ) -> None:
        """Remove a contract; a certificate of the pools' own MO CA is revoked, too."""
        headers = {"X-Skip-Revocation": "true"} if skip_revocation else {}
        await self._delete(f"/v1/ccp/signedContractData/{_part(emaid)}", deadline_s, headers)

    async def provide_contract(
        self,
        emaid: str,
        pcid: str,
        *,
        session_id: bytes = b"",
        namespace: str = ISO2,
        cps_root: str = "",
        deadline_s: float | None = None,
    ) -> Provided:
        """A contract for the OEM, who has to check that it is valid."""
        params = {"xsdMsgDefNamespace": namespace}
        params |= {"sessionID": session_id.hex()} if session_id else {}
        params |= {"cpsV2GRootCertificateFingerprint": cps_root} if cps_root else {}
        path = f"/v1/ccp/provideSignedContractData/{_part(emaid)}/{_part(pcid)}"
        return await self._get(path, Provided, params, deadline_s)

    async def set_default_contract(self, pcid: str, emaid: str, *, deadline_s: float | None = None) -> None:
        """Make a contract the one that the vehicle gets."""
        path = f"/v1/ccp/signedContractData/{_part(pcid)}/{_part(emaid)}/default"
        await self._do("POST", path, None, deadline_s, repeatable=True)

    async def lookup_contract(
        self, emaid: str, *, namespace: str = ISO2, deadline_s: float | None = None
    ) -> Sequence[ListedContract]:
        """The signed variants of a contract, () when there is none."""
        path = f"/v1/ccp/lookupContract/{_part(emaid)}"
        params = {"xsdMsgDefNamespace": namespace}
        answer = await self._session.request(
            "GET", path, params=params, repeatable=True, deadline_s=deadline_s, accept=_GONE
        )
        return () if answer.status == 404 else decode(answer, ListedContracts, f"GET {path}").contracts

    async def contracts_of(
        self, pcid: str, *, namespace: str = ISO2, deadline_s: float | None = None
    ) -> Sequence[ListedContract]:
        """The contracts of a vehicle, the default first."""
        path = f"/v1/ccp/signedContractData/{_part(pcid)}"
        return (await self._get(path, ListedContracts, {"xsdMsgDefNamespace": namespace}, deadline_s)).contracts

    # --- enrolment ---------------------------------------------------------------------------------------------------

    async def enroll(
        self, ca: str, request: bytes, *, edition: str = "ISO15118-2", deadline_s: float | None = None
    ) -> bytes:
        """Have a certificate issued. ca: mo, cps, oem, cpo, veh. request: PKCS#10, DER. Returns PKCS#7, DER.

        Never repeated once it may have arrived.
        """
        path = f"/.well-known/est/{_part(ca)}/simpleenroll/{_part(edition)}"
        answer = await self._session.request(
            "POST",
            path,
            content=text(request).encode(),
            headers={"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"},
            repeatable=False,
            deadline_s=deadline_s,
        )
        return _pkcs7(answer, f"POST {path}")

    async def ca_certificates(
        self, ca: str, *, edition: str = "ISO15118-2", algorithm: str = "secp256r1", deadline_s: float | None = None
    ) -> bytes:
        """The CA certificates of a branch. Returns PKCS#7, DER."""
        path = f"/{_part(ca)}/cacerts/{_part(edition)}/{_part(algorithm)}/"
        headers = {"Content-Transfer-Encoding": "base64"}
        answer = await self._session.request("GET", path, headers=headers, repeatable=True, deadline_s=deadline_s)
        return _pkcs7(answer, f"GET {path}")

    # --- webhooks ----------------------------------------------------------------------------------------------------

    async def add_endpoint(
        self,
        url: str,
        events: Sequence[str],
        *,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
    ) -> Endpoint:
        """Have events sent to a URL. Never repeated once it may have arrived."""
        body = {"url": url, "enabledEvents": list(events), "description": description, "metadata": metadata or {}}
        path = "/v1/webhook/endpoints"
        return decode(await self._do("POST", path, body, deadline_s, repeatable=False), Endpoint, f"POST {path}")

    async def endpoints(self, *, deadline_s: float | None = None) -> Sequence[Endpoint]:
        """Those of this client."""
        return await self._get("/v1/webhook/endpoints", list[Endpoint], {}, deadline_s)

    async def endpoint(self, endpoint_id: str, *, deadline_s: float | None = None) -> Endpoint:
        """One of them."""
        return await self._get(f"/v1/webhook/endpoints/{_part(endpoint_id)}", Endpoint, {}, deadline_s)

    async def change_endpoint(
        self, endpoint_id: str, changes: Mapping[str, object], *, deadline_s: float | None = None
    ) -> Endpoint:
        """changes: url, enabledEvents, status, ..."""
        path = f"/v1/webhook/endpoints/{_part(endpoint_id)}"
        answer = await self._do("PUT", path, dict(changes), deadline_s, repeatable=True)
        return decode(answer, Endpoint, f"PUT {path}")

    async def delete_endpoint(self, endpoint_id: str, *, deadline_s: float | None = None) -> None:
        """Stop sending events."""
        await self._delete(f"/v1/webhook/endpoints/{_part(endpoint_id)}", deadline_s)

    # -----------------------------------------------------------------------------------------------------------------

    async def _get(self, path: str, kind: type[T], params: Mapping[str, str], deadline_s: float | None) -> T:
        answer = await self._session.request("GET", path, params=params, repeatable=True, deadline_s=deadline_s)
        return decode(answer, kind, f"GET {path}")

    async def _do(self, method: str, path: str, body: object, deadline_s: float | None, *, repeatable: bool) -> Answer:
        return await self._session.request(method, path, body=body, repeatable=repeatable, deadline_s=deadline_s)

    async def _delete(self, path: str, deadline_s: float | None, headers: Mapping[str, str] | None = None) -> None:
        """What a lost answer had deleted already is gone when it is asked for again: that is what was wanted."""
        answer = await self._session.request(
            "DELETE", path, headers=headers, repeatable=True, deadline_s=deadline_s, accept=_GONE
        )
        if answer.status == 404 and not answer.repeats:
            raise error_of(f"DELETE {path}", answer)


def _part(value: str) -> str:
    return quote(value, safe="")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pkcs7(answer: Answer, operation: str) -> bytes:
    try:
        return octets(answer.body.decode("ascii"))
    except ValueError:
        raise OpcpError(operation, answer.status, ("the answer is no base64",), "", answer.body[:2000]) from None
