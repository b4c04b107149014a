"""Plug & Charge from the station's socket to real pools: install a contract, charge with it, have it revoked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from asn1crypto import pem  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, load_der_ocsp_response
from cryptography.x509.oid import NameOID

from backend_client.opcp import Credentials, OpcpClient
from backends.bring_up import Plan, Running, brought_up
from backends.guarded_http import LOOPBACK
from backends.operators.cpo.settings import CpoSettings
from backends.pki.authorities import Order
from backends.pki.ca_keys import MemoryKey
from backends.pki.revocation import Policy, RevocationRules
from backends.pools.editions import ISO2
from hil_rigs.real_clock import RealClock
from tests.backends.ecosystem import Vehicle
from tests.backends.operators.cpo.parts import ACCOUNT, Wire, accepting, running_cpo, station
from v2g.certificates import load
from v2g.exi.codec import decode

REALM, PCID, EMAID = "iso2-strict", "PLBPROVCERT000042", "DEPLBC00000042"
TOKEN = {"idToken": EMAID, "type": "eMAID"}


class Pools:
    """Pools with one client per role."""

    def __init__(self, running: Running, folder: Path, clock: RealClock) -> None:
        self.running = running
        self._folder = folder
        self._clock = clock

    def client(self, client_id: str) -> OpcpClient:
        secret = self._folder / f"{client_id}.secret"
        (found,) = [one for one in self.running.clients if one.client_id == client_id]
        secret.write_text(found.client_secret)
        return OpcpClient(self.running.url, Credentials(client_id, secret, self.running.audience), self._clock)

    async def vehicle(self) -> Vehicle:
        authorities = self.running.services.authorities
        assert authorities is not None
        issued = await authorities.issue(Order(realm=REALM, kind="provisioning", common_name=PCID), actor="oem")
        key = await authorities.key_of(issued.stored)
        assert isinstance(key, MemoryKey)
        assert isinstance(key.key, ec.EllipticCurvePrivateKey)
        made = Vehicle(PCID, issued, key.key, ISO2)
        sub_2, sub_1 = (one.certificate for one in issued.chain[1:3])
        async with self.client("oem") as oem:
            await oem.publish_vehicle(issued.stored.certificate, sub_1, sub_2)
        now = self._clock.now()
        async with self.client("mo") as mo:
            await mo.generate_contract(EMAID, PCID, now, now + timedelta(days=30))
        return made

    async def request(self, vehicle: Vehicle) -> bytes:
        authorities = self.running.services.authorities
        assert authorities is not None
        newest = (await authorities.newest(REALM, "v2g-root")).certificate
        return vehicle.request([(f"CN={newest.subject.native['common_name']},O=Plugbench", newest.serial_number)])


def chain_of(exi: bytes) -> list[Certificate]:
    """The contract's chain in an answer, leaf first."""
    body = decode("iso2", exi).Body.BodyElement  # type: ignore[attr-defined]
    chain = body.ContractSignatureCertChain
    return [load(chain.Certificate), *(load(one) for one in chain.SubCertificates.Certificate)]


def armoured(chain: list[Certificate]) -> str:
    return "".join(pem.armor("CERTIFICATE", one.dump()).decode() for one in chain)


def hash_data(certificate: Certificate, issuer: Certificate) -> Mapping[str, str]:
    """OCSPRequestDataType."""
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(issuer.subject.dump()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(bytes(issuer.public_key["public_key"])).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
        "responderURL": certificate.ocsp_urls[0],
    }


@asynccontextmanager
async def everything(tmp_path: Path) -> AsyncIterator[tuple[Pools, Any, Wire, Any]]:
    """Pools, CPO, a station at it, and the MO that is asked."""
    clock, word = RealClock(), accepting(EMAID)
    plan = Plan(tmp_path / "pools", allow_loopback=True, presets=(REALM,))
    async with brought_up(plan, clock) as running:
        pools = Pools(running, tmp_path, clock)
        settings = CpoSettings(
            stations=[ACCOUNT],
            networks=LOOPBACK,
            revocation=RevocationRules(policy=Policy.HARD, timeout_s=30, max_age_s=0, retry_s=0),
        )
        async with pools.client("cpo") as client:
            async with running_cpo(tmp_path, clock, settings, contracts=client, authorisers=[word]) as cpo:
                async with station(cpo.running) as wire:
                    yield pools, cpo, wire, word


async def test_a_contract_is_installed_used_and_revoked(tmp_path: Path) -> None:
    async with everything(tmp_path) as (pools, cpo, wire, word):
        vehicle = await pools.vehicle()
        exi = await pools.request(vehicle)
        wanted = {
            "iso15118SchemaVersion": ISO2,
            "action": "Install",
            "exiRequest": base64.b64encode(exi).decode(),
        }
        answer = (await wire.ask("Get15118EVCertificate", wanted))[2]
        assert answer["status"] == "Accepted"
        assert len(answer["exiResponse"]) <= 7500
        response = base64.b64decode(answer["exiResponse"])
        emaid, _key = vehicle.open(response)  # every check that a vehicle makes
        assert emaid == EMAID
        (traced,) = cpo.traced("csms.contract")
        assert traced["request_sha256"] == hashlib.sha256(exi).hexdigest()
        assert traced["response_sha256"] == hashlib.sha256(response).hexdigest()

        chain = chain_of(response)
        authorities = pools.running.services.authorities
        root = (await authorities.newest(REALM, "mo-root")).certificate
        hashes_of_chain = [hash_data(*pair) for pair in zip(chain, [*chain[1:], root], strict=True)]
        with_chain = {"idToken": TOKEN, "certificate": armoured(chain)}
        with_hashes = {"idToken": TOKEN, "iso15118CertificateHashData": hashes_of_chain}
        good = {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}
        said = (await wire.ask("Authorize", with_chain))[2]
        assert said == good, cpo.traced("csms.authorised")[-1]["detail"]
        assert word.asked[-1].certificates == tuple(one.dump() for one in chain)
        assert (word.asked[-1].id, word.asked[-1].id_type) == (EMAID, "EMAID")
        said = (await wire.ask("Authorize", with_hashes))[2]
        assert said == good, cpo.traced("csms.authorised")[-1]["detail"]

        status = (await wire.ask("GetCertificateStatus", {"ocspRequestData": hashes_of_chain[0]}))[2]
        assert status["status"] == "Accepted"
        said = load_der_ocsp_response(base64.b64decode(status["ocspResult"]))
        assert said.certificate_status is OCSPCertStatus.GOOD

        asked = len(word.asked)
        # another's contract, a chain in the wrong order, a leaf without its sub-CAs, no certificate at all
        other = {"idToken": {**TOKEN, "idToken": "DEPLBC00000099"}, "certificate": armoured(chain)}
        for request, expected in (
            (other, "NoCertificateAvailable"),
            ({**with_chain, "certificate": armoured(chain[::-1])}, "NoCertificateAvailable"),
            ({**with_chain, "certificate": armoured(chain[:1])}, "CertChainError"),
            ({**with_chain, "certificate": "no certificate"}, "CertChainError"),
        ):
            refused = (await wire.ask("Authorize", request))[2]
            assert refused == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": expected}

        async with pools.client("mo") as mo:
            await mo.delete_contract(EMAID)  # the pools' own MO CA revokes it
        blocked = {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "CertificateRevoked"}
        assert (await wire.ask("Authorize", with_chain))[2] == blocked
        assert (await wire.ask("Authorize", with_hashes))[2] == blocked
        assert len(word.asked) == asked  # the MO is not asked about what cannot be

        # the vehicle asks again: the pools' refusal reaches it as they encoded it
        again = (await wire.ask("Get15118EVCertificate", wanted))[2]
        assert again["status"] == "Failed"
        refusal: Any = decode("iso2", base64.b64decode(again["exiResponse"]))
        assert refusal.Body.BodyElement.ResponseCode == "FAILED_NoCertificateAvailable"

        # and the station gets a certificate of its own
        key = ec.generate_private_key(ec.SECP256R1())
        name = [(NameOID.COMMON_NAME, "DE*PLB*E1"), (NameOID.ORGANIZATION_NAME, "Plugbench")]
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in name])
        request_pem = (
            x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        ).public_bytes(Encoding.PEM)
        csr = {"csr": request_pem.decode(), "certificateType": "V2GCertificate"}
        assert (await wire.ask("SignCertificate", csr))[2] == {"status": "Accepted"}
        async with asyncio.timeout(10):
            call = json.loads(await wire.socket.recv())
        assert call[2] == "CertificateSigned"
        await wire.socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        leaf, *subs = x509.load_pem_x509_certificates(call[3]["certificateChain"].encode())
        assert leaf.public_key() == key.public_key()
        leaf.verify_directly_issued_by(subs[0])
        subs[0].verify_directly_issued_by(subs[1])
        assert (await wire.ask("SignCertificate", {"csr": csr["csr"]}))[2]["status"] == "Rejected"  # no CA for that
        assert (await wire.ask("SignCertificate", {**csr, "csr": "x"}))[2]["status"] == "Rejected"
