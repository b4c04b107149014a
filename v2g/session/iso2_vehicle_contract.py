"""The messages of a vehicle of ISO 15118-2 that a contract is needed for: signed, verified, installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ports.errors import LocalError, PeerError
from v2g.certificate_profiles import Role
from v2g.certificates import check_chain, common_name, load, public_key
from v2g.contract_key import ISO2, KeyAgreement, SealedKey, agreement, open_key
from v2g.exi.generated.iso2 import types
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.identifiers import EMAID, same
from v2g.session.contract import FIELD
from v2g.session.dc_vehicle import DcVehicle, within_limits
from v2g.session.events import ContractInstalled, Tolerated
from v2g.session.state_table import OK
from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials
from v2g.signature_suites import ISO2_SUITES, P256, Sign, signer
from v2g.xmldsig import SignatureError, verify_message

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

# whoever signs contracts has to be one that may: any SECC has a certificate of the same root (ISO 15118-2 annex F)
PROVIDER = FIELD.with_rules(
    "field",
    {
        Role.CPS: {
            "domain_components": frozenset({"CPS"}),
            "domain_component_optional": False,
            "key_usage_optional": False,
        }
    },
)


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
        self._check_provider(answer.SAProvisioningCertificateChain, message)
        chain = answer.ContractSignatureCertChain
        certificates = (chain.Certificate, *(chain.SubCertificates.Certificate if chain.SubCertificates else ()))
        (leaf, *_), emaid = map(load, certificates), str(answer.eMAID.value)
        at = self.evcc.vehicle.civil_time
        if not EMAID.fullmatch(emaid) or not same(emaid, common_name(leaf)):
            raise PeerError(f"the new contract is for {emaid!r}, its certificate for {common_name(leaf)!r}", emaid)
        if at is not None and at > leaf.not_valid_after:
            raise PeerError(f"the new contract {emaid} expired {leaf.not_valid_after:%Y-%m-%d %H:%M:%S}")
        owner: Any = public_key(leaf)
        if not P256.fits(owner):
            raise PeerError(f"the certificate of the new contract {emaid} has no key on secp256r1", leaf.dump())
        sealed = SealedKey(answer.ContractSignatureEncryptedPrivateKey.value, answer.DHpublickey.value)
        update = self.evcc.state == "CertificateUpdateReq"
        key: Any = open_key(ISO2, sealed, self._old_key() if update else self._provisioning().agree, owner)
        self.contract = ContractCredentials(emaid, certificates, signer(key), agreement(key))
        self.evcc.emit(ContractInstalled(emaid, certificates, key))
        return OK

    def _check_provider(self, chain: Any, message: Any) -> None:
        """The provisioning service signed, and one of the vehicle's roots vouches for it. Raises PeerError."""
        provider = load(chain.Certificate)
        verify_message(message, public_key(provider), ISO2_SUITES)  # type: ignore[arg-type]
        side = self.evcc.vehicle
        if side.v2g_roots is None or side.civil_time is None:
            self.evcc.emit(Tolerated("nobody knows whether the provisioning service may: the vehicle has no V2G root"))
            return
        others = [load(octets) for octets in (chain.SubCertificates.Certificate if chain.SubCertificates else [])]
        check_chain(provider, others, side.v2g_roots, role=Role.CPS, profile=PROVIDER, at=side.civil_time)

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
        """Whether a receipt is due. Raises PeerError for a reading that the vehicle may not sign."""
        wanted, meter = answer.ReceiptRequired, answer.MeterInfo
        if meter is None:
            if wanted:
                self.evcc.emit(Tolerated("the station wants a receipt and shows no meter: there is nothing to sign"))
            return None
        within_limits("iso2.MeterInfoType", meter)
        before, self.meter = self.meter, meter
        if problem := _implausible(before, meter):
            if wanted:
                raise PeerError(f"{problem}: the vehicle signs no receipt for that")
            self.evcc.emit(Tolerated(problem))
        return "receipt" if wanted else None


def _implausible(before: Any, meter: Any) -> str:
    """What is wrong with a reading that follows another one in the same session; "" when nothing is."""
    if before is None:
        return ""
    if meter.MeterID != before.MeterID:
        return f"the station shows meter {meter.MeterID!r} after {before.MeterID!r}"
    old, new = before.MeterReading, meter.MeterReading
    if old is not None and new is not None and new < old:
        return f"meter {meter.MeterID!r} went back from {old} to {new} Wh"
    return ""


def _chain(certificates: tuple[bytes, ...]) -> types.CertificateChainType:
    sub_cas = list(certificates[1:])
    return types.CertificateChainType(
        Certificate=certificates[0],
        SubCertificates=types.SubCertificatesType(Certificate=sub_cas) if sub_cas else None,
    )
