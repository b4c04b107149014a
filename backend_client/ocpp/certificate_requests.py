"""Certificates at the request of a CSMS; the bodies are those of 2.0.1, which 1.6 shares."""

from __future__ import annotations

from cryptography import x509

from backend_client.ocpp.certificate_folder import KINDS
from backend_client.ocpp.desk import Desk
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.requests import Answer, Handler, status
from ports.errors import PeerError, RigError

STATION = "ChargingStationCertificate"


def certificate_handlers(desk: Desk) -> dict[str, Handler]:
    """Of 2.0.1."""

    async def install(request: Payload) -> Answer:
        if desk.folder is None:
            return status("Rejected", "NotEnabled", "no certificate folder is set")
        try:
            desk.folder.install(request["certificateType"], request["certificate"], desk.clock.now())
        except PeerError as error:
            return status("Rejected", "InvalidCertificate", str(error))
        except RigError as error:
            return status("Failed", "InternalError", str(error))
        desk.trace("ocpp.installed", certificate=request["certificateType"])
        return status("Accepted")

    async def installed(request: Payload) -> Answer:
        kinds = [kind for kind in request.get("certificateType", KINDS) if kind in KINDS]
        found = desk.folder.installed(kinds) if desk.folder is not None else []
        if not found:
            return status("NotFound")
        chains = [{"certificateType": one.kind, "certificateHashData": one.hash_data()} for one in found]
        return status("Accepted", certificateHashDataChain=chains)

    async def delete(request: Payload) -> Answer:
        deleted = desk.folder is not None and desk.folder.delete(request["certificateHashData"])
        return status("Accepted" if deleted else "NotFound")

    async def signed(request: Payload) -> Answer:
        kind, chain = request.get("certificateType", STATION), request["certificateChain"]
        try:
            _check_fits(chain, desk.csrs.get(kind))
        except PeerError as error:
            return status("Rejected", "InvalidCertificate", str(error))
        if desk.hooks.install is None or not await desk.hooks.install(kind, chain):
            return status("Rejected", "NotEnabled")
        del desk.csrs[kind]
        desk.trace("ocpp.certificate_signed", certificate=kind)
        uses_it = kind == STATION and desk.settings.security_profile == 3
        return Answer({"status": "Accepted"}, desk.reconnect if uses_it else None)  # A02.FR.08

    return {
        "InstallCertificate": install,
        "GetInstalledCertificateIds": installed,
        "DeleteCertificate": delete,
        "CertificateSigned": signed,
    }


def _check_fits(chain: str, csr: str | None) -> None:
    """The leaf must certify the key of our request. Raises PeerError."""
    if csr is None:
        raise PeerError("no certificate was asked for", chain)
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        request = x509.load_pem_x509_csr(csr.encode())
    except ValueError as error:
        raise PeerError(f"not a certificate chain: {error}", chain) from error
    if leaf.public_key() != request.public_key():
        raise PeerError("the certificate is not for the key of the request", chain)
