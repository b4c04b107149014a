"""A whole ecosystem in one process for tests: PKI, pools, tokens, one client per role, and a vehicle that asks."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette

from backend_client.opcp import ContractData, Credentials, OpcpClient
from backends.access import Role
from backends.api.limits import Limits
from backends.opcp.app import build_app
from backends.opcp.services import Services
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys, MemoryKey, Passphrase
from backends.pools.editions import ISO2
from backends.pools.own_pki import OwnPki
from backends.pools.trust import RevocationCheck
from backends.refusals import Refusal, Refused
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.clients import register_client
from tests.backends.pool_doubles import Outside
from tests.doubles import ManualClock
from v2g.certificates import load, public_key
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import SECP521, SealedKey, additional_data, agreement, open_key, seal_key
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common import types as iso20
from v2g.exi.generated.iso20_common_types import types as iso20_common
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.signature_suites import P256, PrivateKey, signer, suite_for
from v2g.xmldsig import sign_message, verify_message

URL = "http://pools.test"
SESSION = bytes.fromhex("69FC09895168C8B2")
SECRET = "a secret for tests"


class StoreRevocations:
    """`RevocationCheck` that asks the PKI's own table, as its OCSP responder does."""

    def __init__(self, authorities: CertificateAuthorities) -> None:
        self._authorities = authorities

    async def __call__(self, path: Sequence[Any], field: str, /) -> None:
        from backends.pki import certificate_store as store

        prints = [store.fingerprint(one) for one in path]
        found = await self._authorities.database.read(lambda connection: store.revocations(connection, prints))
        if any(moment is not None for moment in found.values()):
            raise Refused(Refusal.CERTIFICATE_REVOKED, field=field)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle with its key."""

    pcid: str
    issued: Issued
    key: PrivateKey
    namespace: str

    def request(
        self, roots: Sequence[tuple[str, int]], session_id: bytes = SESSION, *, maximum: int = 1, wanted: Any = None
    ) -> bytes:
        """Its CertificateInstallationReq, signed. roots: name and serial number of those it trusts."""
        listed = iso2.ListOfRootCertificateIDsType(
            RootCertificateID=[X509IssuerSerialType(X509IssuerName=name, X509SerialNumber=n) for name, n in roots]
        )
        if self.namespace == ISO2:
            body = iso2.CertificateInstallationReqType(
                Id="ID1", OEMProvisioningCert=self.issued.stored.certificate, ListOfRootCertificateIDs=listed
            )
            header = iso2.MessageHeaderType(SessionID=session_id)
            message: Any = iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body))
            sign_message(message, signer(self.key), P256)
            return encode(message)
        chain = iso20.SignedCertificateChainType(
            Id="ID1",
            Certificate=self.issued.stored.certificate,
            SubCertificates=iso20.SubCertificatesType(Certificate=[one.dump() for one in self.issued.sub_cas]),
        )
        message = iso20.CertificateInstallationReqType(
            Header=iso20_common.MessageHeaderType(SessionID=session_id, TimeStamp=1),
            OEMProvisioningCertificateChain=chain,
            ListOfRootCertificateIDs=iso20_common.ListOfRootCertificateIDsType(
                RootCertificateID=listed.RootCertificateID
            ),
            MaximumContractCertificateChains=maximum,
            PrioritizedEMAIDs=iso20.EMAIDListType(EMAID=wanted) if wanted else None,
        )
        sign_message(message, signer(self.key), suite_for(self.key))
        return encode(message)

    def open(self, exi: bytes, session_id: bytes = SESSION) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """EMAID and private key of the contract in an answer, after every check that a vehicle makes."""
        message: Any = decode("iso2" if self.namespace == ISO2 else "iso20_common", exi)
        assert message.Header.SessionID == session_id
        if self.namespace == ISO2:
            body = message.Body.BodyElement
            assert body.ResponseCode == "OK"
            cps, leaf = body.SAProvisioningCertificateChain.Certificate, body.ContractSignatureCertChain.Certificate
            sealed = SealedKey(body.ContractSignatureEncryptedPrivateKey.value, body.DHpublickey.value)
            envelope, aad, emaid = ISO2_ENVELOPE, b"", body.eMAID.value
        else:
            assert message.ResponseCode == "OK"
            inner = message.SignedInstallationData
            cps, leaf = message.CPSCertificateChain.Certificate, inner.ContractCertificateChain.Certificate
            sealed = SealedKey(inner.SECP521_EncryptedPrivateKey, inner.DHPublicKey)
            envelope, aad = SECP521, additional_data(self.pcid, load(leaf).key_identifier)
            emaid = load(leaf).subject.native["common_name"]
        verify_message(message, public_key(load(cps)))  # type: ignore[arg-type]
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        key = open_key(envelope, sealed, agreement(self.key), public_key(load(leaf)), aad)  # type: ignore[arg-type]
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return str(emaid), key


def response_code(exi: bytes, namespace: str = ISO2) -> str:
    """What an answer says."""
    message: Any = decode("iso2" if namespace == ISO2 else "iso20_common", exi)
    return str((message.Body.BodyElement if namespace == ISO2 else message).ResponseCode)


class Ecosystem:
    """Everything. pki: by edition, the certificates of its realm by kind."""

    def __init__(self, database: Database, clock: ManualClock, folder: Path, template: Ecosystem | None = None) -> None:
        """template: one whose database was copied to this one's place: its PKI and clients are here, too."""
        self.database = database
        self.clock = clock
        self.folder = folder
        self.outside = Outside()
        self.pki: dict[str, dict[str, Issued]] = {}
        if template is None:
            passphrase = folder / "passphrase"
            passphrase.write_text("open sesame\n")
            passphrase.chmod(0o600)
            self.keys = FileKeys(folder / "keys", Passphrase(passphrase))
        else:
            self.keys, self.pki = template.keys, dict(template.pki)
            for secret in template.folder.glob("*.secret"):
                shutil.copy(secret, folder)
        self.authorities = CertificateAuthorities(database, clock, self.keys, ocsp_url="http://ocsp.test/")
        self.revocation: RevocationCheck = StoreRevocations(self.authorities)
        self.own = OwnPki(self.authorities)
        self.services = self._services()
        self.app: Starlette = self._app()
        self._clients: list[OpcpClient] = []

    def _services(self) -> Services:
        return Services(
            self.database,
            Sealer(bytes(32)),
            self.clock,
            issuer=f"{URL}/",
            audience=URL,
            revocation=self.revocation,
            revoke_contracts=self.own.revoke_all,
            find_signers=self.own.signers,
            mo_ca=self.own,
            authorities=self.authorities,
            send=self.outside,
        )

    def _app(self, modules: Collection[str] = ("token", "rcp", "pcp", "cps", "ccp", "webhooks")) -> Starlette:
        return build_app(modules, self.services, limits=Limits(per_second=0, token_per_second=0))

    async def add_pki(self, name: str, preset: str, algorithm: str = "") -> dict[str, Issued]:
        """A realm with everything, its roots in the root pool."""
        issued = await build_realm(self.authorities, name, preset, algorithm=algorithm)
        admin = await self.client("admin", Role.ADMIN)
        for kind, root_type in (("v2g-root", "V2G"), ("mo-root", "MO"), ("oem-root", "OEM")):
            if kind in issued:
                await admin.add_root(issued[kind].stored.certificate, root_type)
        self.pki[name] = issued
        return issued

    async def client(
        self, client_id: str, role: Role, *, wmis: Sequence[str] = (), provider_ids: Sequence[str] = ()
    ) -> OpcpClient:
        """A registered client that speaks HTTP to the pools."""
        secret = self.folder / f"{client_id}.secret"
        if not secret.exists():
            secret.write_text(SECRET)
            await self.database.write(
                lambda connection: register_client(
                    connection,
                    client_id=client_id,
                    secret=SECRET,
                    role=role,
                    at=0,
                    wmis=wmis,
                    provider_ids=provider_ids,
                )
            )
        made = OpcpClient(
            URL, Credentials(client_id, secret), self.clock, transport=httpx.ASGITransport(self.app), timeout_s=60
        )
        self._clients.append(made)
        return made

    async def vehicle(
        self, realm: str, pcid: str, *, namespace: str = ISO2, valid_to: datetime | None = None
    ) -> Vehicle:
        """A new vehicle of a realm; nobody knows it yet."""
        issued = await self.authorities.issue(
            Order(realm=realm, kind="provisioning", common_name=pcid, valid_to=valid_to), actor="oem"
        )
        key = await self.authorities.key_of(issued.stored)
        assert isinstance(key, MemoryKey)
        return Vehicle(pcid, issued, key.key, namespace)

    async def publish(self, oem: OpcpClient, vehicle: Vehicle) -> None:
        """Put it into the PCP."""
        sub_2, sub_1 = (one.certificate for one in vehicle.issued.chain[1:3])
        await oem.publish_vehicle(vehicle.issued.stored.certificate, sub_1, sub_2, namespace=vehicle.namespace)

    async def contract(
        self, realm: str, emaid: str, certificate: bytes, *, days: int = 90, pcid: str = ""
    ) -> tuple[ContractData, ec.EllipticCurvePrivateKey]:
        """What an MO with a PKI of its own does: key, certificate, envelope for the vehicle's certificate (DER)."""
        issued = await self.authorities.issue(
            Order(realm=realm, kind="contract", common_name=emaid, valid_to=self.clock.now() + timedelta(days=days)),
            actor="mo",
        )
        key = await self.authorities.key_of(issued.stored)
        assert isinstance(key, MemoryKey)
        assert isinstance(key.key, ec.EllipticCurvePrivateKey)
        recipient = public_key(load(certificate))
        assert isinstance(recipient, ec.EllipticCurvePublicKey)
        if recipient.curve.name == "secp256r1":
            sealed = seal_key(ISO2_ENVELOPE, key.key, recipient)
        else:
            aad = additional_data(pcid, issued.certificate.key_identifier)
            sealed = seal_key(SECP521, key.key, recipient, aad)
        sub_2, sub_1 = (one.certificate for one in issued.chain[1:3])
        data = ContractData(issued.stored.certificate, sub_1, sub_2, sealed.encrypted_private_key, sealed.dh_public_key)
        return data, key.key

    def root_id(self, realm: str) -> tuple[str, int]:
        """The V2G root of a realm as a vehicle lists it: without DC and C."""
        root = self.pki[realm]["v2g-root"].certificate
        return f"CN={root.subject.native['common_name']},O=Plugbench", root.serial_number

    async def deliveries(self) -> None:
        """Let all webhooks that are due be sent."""
        await self.services.dispatcher.deliver_due()

    async def close(self) -> None:
        """Everything."""
        for client in self._clients:
            await client.close()
        await self.services.signing.close()
        await self.services.http.close()
        await self.authorities.close()


@asynccontextmanager
async def ecosystem(
    url: str, folder: Path, prepare: Any = None, template: Ecosystem | None = None, clock: ManualClock | None = None
) -> AsyncIterator[Ecosystem]:
    """One with a fresh database, or with the copy of a template's."""
    clock = clock or ManualClock()
    database = Database(url, clock, **({"prepare": prepare} if prepare else {}))
    made = Ecosystem(database, clock, folder, template)
    try:
        yield made
    finally:
        await made.close()
        await database.close()
