"""The messages of a vehicle of ISO 15118-2 that a contract is needed for: signed, verified, installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ports.errors import LocalError
from v2g.certificate_profiles import Role
from v2g.certificates import check_chain, load, public_key
from v2g.contract_key import ISO2, KeyAgreement, SealedKey, agreement, open_key
from v2g.exi.generated.iso2 import types
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.session.contract import FIELD
from v2g.session.dc_vehicle import DcVehicle, within_limits
from v2g.session.events import ContractInstalled, Tolerated
from v2g.session.state_table import OK
from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials
from v2g.signature_suites import ISO2_SUITES, Sign, signer
from v2g.xmldsig import SignatureError, verify_message

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc


class Iso2Contract(DcVehicle):
    """Pays by contract."""

    types = types

    def __init__(self, evcc: Evcc) -> None:
        super().__init__(evcc)
        self.payment = evcc.vehicle.payment
        self.contract: ContractCredentials | None = evcc.vehicle.contract
        self.challenge: bytes | None = None
        self.meter: Any = None

    def signer_of(self, name: str) -> Sign | None:
        """Who signs a request; None: nobody."""
        if name == "AuthorizationReq":
            return self._contract().sign if self.challenge is not None else None  # the first only ([V2G2-684])
        if name == "CertificateInstallationReq":
            return self._provisioning().sign
        if name == "CertificateUpdateReq":
            return self._contract().sign
        return self._contract().sign if name == "MeteringReceiptReq" and self.payment == "Contract" else None

    def _contract(self) -> ContractCredentials:
        if self.contract is None:
            raise LocalError("the vehicle is to pay by contract and has none; set VehicleSide.contract")
        return self.contract

    def _provisioning(self) -> ProvisioningCredentials:
        credentials = self.evcc.vehicle.provisioning
        if credentials is None:
            raise LocalError("installing a contract needs VehicleSide.provisioning")
        return credentials

    def _old_key(self) -> KeyAgreement:
        """The contract to be replaced opens the new one."""
        agree = self._contract().agree
        if agree is None:
            raise LocalError("updating a contract needs ContractCredentials.agree")
        return agree

    def root_ids(self) -> types.ListOfRootCertificateIDsType:
        """ListOfRootCertificateIDs."""
        return types.ListOfRootCertificateIDsType(
            RootCertificateID=[
                X509IssuerSerialType(X509IssuerName=name, X509SerialNumber=serial)
                for name, serial in self.evcc.vehicle.root_ids
            ]
        )

    def certificate_installation(self) -> Any:
        return types.CertificateInstallationReqType(
            Id="id1",
            OEMProvisioningCert=self._provisioning().certificate,
            ListOfRootCertificateIDs=self.root_ids(),
        )

    def certificate_update(self) -> Any:
        contract = self._contract()
        return types.CertificateUpdateReqType(
            Id="id1",
            ContractSignatureCertChain=_chain(contract.certificates),
            eMAID=contract.emaid,
            ListOfRootCertificateIDs=self.root_ids(),
        )

    def payment_details(self) -> Any:
        contract = self._contract()
        return types.PaymentDetailsReqType(
            eMAID=contract.emaid, ContractSignatureCertChain=_chain(contract.certificates)
        )

    def authorization(self) -> Any:
        if self.challenge is None:
            return types.AuthorizationReqType()
        return types.AuthorizationReqType(Id="id1", GenChallenge=self.challenge)

    def metering_receipt(self) -> Any:
        return types.MeteringReceiptReqType(
            Id="id1", SessionID=self.evcc.session_id, SAScheduleTupleID=self.schedule, MeterInfo=self.meter
        )

    def installed(self, answer: Any, message: Any) -> str:
        """Verify who signed, open the key, use the contract from now on."""
        provider = load(answer.SAProvisioningCertificateChain.Certificate)
        verify_message(message, public_key(provider), ISO2_SUITES)  # type: ignore[arg-type]
        side = self.evcc.vehicle
        if side.v2g_roots is not None and side.civil_time is not None:
            sub_cas = answer.SAProvisioningCertificateChain.SubCertificates
            others = [load(octets) for octets in (sub_cas.Certificate if sub_cas else [])]
            check_chain(provider, others, side.v2g_roots, role=Role.CPS, profile=FIELD, at=side.civil_time)
        chain = answer.ContractSignatureCertChain
        sealed = SealedKey(answer.ContractSignatureEncryptedPrivateKey.value, answer.DHpublickey.value)
        owner: Any = public_key(load(chain.Certificate))
        update = self.evcc.state == "CertificateUpdateReq"
        key: Any = open_key(ISO2, sealed, self._old_key() if update else self._provisioning().agree, owner)
        certificates = (chain.Certificate, *(chain.SubCertificates.Certificate if chain.SubCertificates else ()))
        self.contract = ContractCredentials(answer.eMAID.value, certificates, signer(key), agreement(key))
        self.evcc.emit(ContractInstalled(answer.eMAID.value, certificates, key))
        return OK

    def challenged(self, answer: Any, _message: Any) -> str:
        within_limits("iso2.genChallengeType", answer.GenChallenge)
        self.challenge = answer.GenChallenge
        if answer.ResponseCode == "OK_CertificateExpiresSoon":
            self.evcc.emit(Tolerated("the contract certificate expires soon"))
        return self.giving_up() or OK

    def authorized(self, answer: Any, _message: Any) -> str:
        self.challenge = None
        return self.giving_up() or ("finished" if answer.EVSEProcessing == "Finished" else "ongoing")

    def check_tariffs(self, message: Any) -> None:
        """A tariff whose signature does not verify counts as none."""
        tuples = message.Body.BodyElement.SASchedules.SAScheduleTuple
        if self.payment != "Contract" or not any(entry.SalesTariff for entry in tuples):
            return
        for octets in self._contract().certificates[1:]:
            try:
                verify_message(message, public_key(load(octets)), ISO2_SUITES)  # type: ignore[arg-type]
            except SignatureError:
                continue
            return
        self.evcc.emit(Tolerated("the signature of the sales tariffs does not verify: they are left out"))

    def receipt(self, answer: Any) -> str | None:
        if not answer.ReceiptRequired or answer.MeterInfo is None:
            return None
        within_limits("iso2.MeterInfoType", answer.MeterInfo)
        self.meter = answer.MeterInfo
        return "receipt"


def _chain(certificates: tuple[bytes, ...]) -> types.CertificateChainType:
    sub_cas = list(certificates[1:])
    return types.CertificateChainType(
        Certificate=certificates[0],
        SubCertificates=types.SubCertificatesType(Certificate=sub_cas) if sub_cas else None,
    )
