"""A small PKI for Plug & Charge, made once per run: V2G root and provisioning service, MO and OEM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.v2g.test_certificates import Issued
from v2g.certificates import load
from v2g.contract_key import ISO2, agreement, seal_key
from v2g.exi.codec import encode
from v2g.exi.generated.iso2 import types as t
from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message

EMAID = "DEABCC123ABC56"
OTHER_EMAID = "DEABCC999XYZ99"


@dataclass(frozen=True)
class Pki:
    """Certificates by what they are for; `Issued` has key and certificate."""

    v2g_root: Issued
    cps_sub: Issued
    cps: Issued
    mo_root: Issued
    mo_sub_1: Issued
    mo_sub_2: Issued
    contract: Issued
    new_contract: Issued
    oem_root: Issued
    provisioning: Issued

    def credentials(self, leaf: Issued | None = None, emaid: str = EMAID) -> ContractCredentials:
        """The vehicle's contract."""
        leaf = leaf or self.contract
        return ContractCredentials(
            emaid, (leaf.der, self.mo_sub_2.der, self.mo_sub_1.der), signer(leaf.key), agreement(leaf.key)
        )

    def provisioned(self) -> ProvisioningCredentials:
        """The vehicle's provisioning certificate."""
        key = self.provisioning.key
        return ProvisioningCredentials(self.provisioning.der, signer(key), agreement(key))

    @property
    def mo_roots(self) -> list[Any]:
        """What a station trusts for contracts."""
        return [load(self.mo_root.der)]

    @property
    def v2g_roots(self) -> list[Any]:
        """What a vehicle trusts."""
        return [load(self.v2g_root.der)]

    def installation(self, kind: str = "CertificateInstallationRes", session: bytes = bytes(8)) -> bytes:
        """The backend's answer: a new contract for the vehicle, signed by the provisioning service, as EXI.

        The key is for the provisioning certificate, or for the contract certificate that is updated.
        session: SessionID of the request.
        """
        recipient = self.provisioning if kind == "CertificateInstallationRes" else self.contract
        sealed = seal_key(ISO2, self.new_contract.key, recipient.key.public_key())
        body = getattr(t, f"{kind}Type")(
            ResponseCode="OK",
            SAProvisioningCertificateChain=_chain(self.cps, self.cps_sub),
            ContractSignatureCertChain=_chain(self.new_contract, self.mo_sub_2, self.mo_sub_1, id="id1"),
            ContractSignatureEncryptedPrivateKey=t.ContractSignatureEncryptedPrivateKeyType(
                Id="id2", value=sealed.encrypted_private_key
            ),
            DHpublickey=t.DiffieHellmanPublickeyType(Id="id3", value=sealed.dh_public_key),
            eMAID=t.EMAIDType(Id="id4", value=OTHER_EMAID),
        )
        message = t.V2G_Message(Header=t.MessageHeaderType(SessionID=session), Body=t.BodyType(BodyElement=body))
        sign_message(message, signer(self.cps.key), P256)
        return encode(message)


def _chain(leaf: Issued, *sub_cas: Issued, id: str | None = None) -> t.CertificateChainType:  # noqa: A002
    return t.CertificateChainType(
        Id=id,
        Certificate=leaf.der,
        SubCertificates=t.SubCertificatesType(Certificate=[one.der for one in sub_cas]),
    )


@cache
def make_pki() -> Pki:
    """The PKI of this run."""
    v2g_root = Issued("V2G Root", "V2G", "ca")
    cps_sub = Issued("CPS Sub", "CPS", "ca", v2g_root, path=0)
    mo_root = Issued("MO Root", "MO", "ca")
    mo_sub_1 = Issued("MO Sub 1", "MO", "ca", mo_root, path=1)
    mo_sub_2 = Issued("MO Sub 2", "MO", "ca", mo_sub_1, path=0)
    oem_root = Issued("OEM Root", "OEM", "ca")
    return Pki(
        v2g_root,
        cps_sub,
        Issued("CPS", "CPS", "sign", cps_sub),
        mo_root,
        mo_sub_1,
        mo_sub_2,
        Issued(EMAID, "MO", "contract", mo_sub_2),
        Issued(OTHER_EMAID, "MO", "contract", mo_sub_2),
        oem_root,
        Issued("WMIV1234567890ABCDEX", "OEM", "agree", oem_root),
    )
