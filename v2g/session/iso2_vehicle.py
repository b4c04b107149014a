"""The messages of a vehicle of ISO 15118-2: what it asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ports.errors import LocalError, PeerError
from v2g.certificate_profiles import Role
from v2g.certificates import check_chain, load, public_key
from v2g.contract_key import ISO2, SealedKey, open_key
from v2g.exi.generated.iso2 import types
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.session.contract import FIELD
from v2g.session.dc_vehicle import DcVehicle
from v2g.session.events import ContractInstalled, PowerState, StationFound, Tolerated
from v2g.session.iso2_vehicle_table import HALT, ISO2_VEHICLE, PAUSE, RENEGOTIATION, START, TERMINATE
from v2g.session.physical import number
from v2g.session.state_table import OK
from v2g.session.station_side import CERTIFICATE_SERVICE_ID, CHARGE_SERVICE_ID
from v2g.session.vehicle_side import PAUSE as WISH_PAUSE
from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials
from v2g.signature_suites import ISO2_SUITES, P256, Sign, signer
from v2g.xmldsig import SignatureError, sign_message, verify_message

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

PROFILE_ENTRIES = 24  # ISO 15118-2, ChargingProfileType


class Iso2Vehicle(DcVehicle):
    """Asks for one session."""

    schema = "iso2"
    table = ISO2_VEHICLE
    types = types

    def __init__(self, evcc: Evcc) -> None:
        super().__init__(evcc)
        self.payment = evcc.vehicle.payment
        self.services: list[tuple[int, int | None]] = []
        self.details: list[int] = []
        self.contract: ContractCredentials | None = evcc.vehicle.contract
        self.challenge: bytes | None = None
        self.evse_id = ""
        self.meter: Any = None
        self._builders: dict[str, Callable[[], Any]] = {
            "SessionSetupReq": lambda: types.SessionSetupReqType(EVCCID=evcc.vehicle.evcc_id),
            "ServiceDiscoveryReq": types.ServiceDiscoveryReqType,
            "ServiceDetailReq": lambda: types.ServiceDetailReqType(ServiceID=self.details.pop(0)),
            "PaymentServiceSelectionReq": self.payment_service_selection,
            "CertificateInstallationReq": self.certificate_installation,
            "CertificateUpdateReq": self.certificate_update,
            "PaymentDetailsReq": self.payment_details,
            "AuthorizationReq": self.authorization,
            "ChargeParameterDiscoveryReq": self.charge_parameter_discovery,
            "CableCheckReq": self.cable_check,
            "PreChargeReq": self.pre_charge,
            START: lambda: self.power_delivery("Start"),
            HALT: lambda: self.power_delivery("Stop"),
            RENEGOTIATION: lambda: self.power_delivery("Renegotiate"),
            "ChargingStatusReq": types.ChargingStatusReqType,
            "CurrentDemandReq": self.current_demand,
            "MeteringReceiptReq": self.metering_receipt,
            "WeldingDetectionReq": self.welding_detection,
            TERMINATE: lambda: types.SessionStopReqType(ChargingSession="Terminate"),
            PAUSE: lambda: types.SessionStopReqType(ChargingSession="Pause"),
        }
        self._outcomes: dict[str, Callable[[Any, Any], str]] = {
            "SessionSetupRes": self.set_up,
            "ServiceDiscoveryRes": self.discovered,
            "ServiceDetailRes": self.detailed,
            "PaymentServiceSelectionRes": self.selected,
            "CertificateInstallationRes": self.installed,
            "CertificateUpdateRes": self.installed,
            "PaymentDetailsRes": self.challenged,
            "AuthorizationRes": self.authorized,
            "ChargeParameterDiscoveryRes": self.parameters_found,
            "CableCheckRes": self.cable_checked,
            "PreChargeRes": self.pre_charged,
            "PowerDeliveryRes": self.power_delivered,
            "ChargingStatusRes": self.status_known,
            "CurrentDemandRes": self.current_demanded,
            "MeteringReceiptRes": self.receipt_taken,
            "WeldingDetectionRes": self.welding_detected,
            "SessionStopRes": lambda _a, _m: OK,
        }

    def request(self, name: str) -> Any:
        """See `evcc.VehicleMessages`."""
        message = self.message(self._builders[name]())
        sign = self._signer(name)
        if sign is not None:
            sign_message(message, sign, P256)
        return message

    def outcome(self, name: str, answer: Any, message: Any) -> str:
        """See `evcc.VehicleMessages`."""
        return self._outcomes[name](answer, message)

    @property
    def is_ac(self) -> bool:
        """Whether the vehicle charges with AC."""
        return self.evcc.vehicle.mode.startswith("AC")

    def _signer(self, name: str) -> Sign | None:
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

    # -- requests

    def payment_service_selection(self) -> Any:
        payment: Any = self.payment
        selected = [(CHARGE_SERVICE_ID, None), *self.services]
        services = [types.SelectedServiceType(ServiceID=one, ParameterSetID=other) for one, other in selected]
        return types.PaymentServiceSelectionReqType(
            SelectedPaymentOption=payment,
            SelectedServiceList=types.SelectedServiceListType(SelectedService=services),
        )

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

    def charge_parameter_discovery(self) -> Any:
        mode: Any = self.evcc.vehicle.mode
        return types.ChargeParameterDiscoveryReqType(
            RequestedEnergyTransferMode=mode,
            EVChargeParameter=self.ac_parameters() if self.is_ac else self.dc_parameters(),
        )

    def ac_parameters(self) -> types.AC_EVChargeParameterType:
        """AC_EVChargeParameter."""
        demand = self.evcc.vehicle.ac
        return types.AC_EVChargeParameterType(
            DepartureTime=self.evcc.vehicle.departure_time,
            EAmount=self.physical("Wh", demand.energy),
            EVMaxVoltage=self.physical("V", demand.max_voltage),
            EVMaxCurrent=self.physical("A", demand.max_current),
            EVMinCurrent=self.physical("A", demand.min_current),
        )

    def power_delivery(self, progress: Any) -> Any:
        if progress == "Start":
            self.evcc.set_pilot("C")
            self.renegotiating = False
        elif progress == "Renegotiate":
            self.renegotiating = True
        elif self.is_ac:
            self.evcc.set_pilot("B")
        entries = [
            types.ProfileEntryType(
                ChargingProfileEntryStart=start, ChargingProfileEntryMaxPower=self.physical("W", power)
            )
            for start, power in self.profile[:PROFILE_ENTRIES]
        ]
        with_profile = progress == "Start" and bool(entries)
        parameter = types.DC_EVPowerDeliveryParameterType(
            DC_EVStatus=self.dc_status(), ChargingComplete=self.evcc.vehicle.complete
        )
        return types.PowerDeliveryReqType(
            ChargeProgress=progress,
            SAScheduleTupleID=self.schedule,
            ChargingProfile=types.ChargingProfileType(ProfileEntry=entries) if with_profile else None,
            EVPowerDeliveryParameter=None if self.is_ac else parameter,
        )

    def metering_receipt(self) -> Any:
        return types.MeteringReceiptReqType(
            Id="id1", SessionID=self.evcc.session_id, SAScheduleTupleID=self.schedule, MeterInfo=self.meter
        )

    # -- answers

    def set_up(self, answer: Any, _message: Any) -> str:
        self.evse_id = answer.EVSEID
        return OK

    def discovered(self, answer: Any, _message: Any) -> str:
        side = self.evcc.vehicle
        payments = tuple(answer.PaymentOptionList.PaymentOption)
        modes = tuple(answer.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode)
        offered = [service.ServiceID for service in answer.ServiceList.Service] if answer.ServiceList else []
        self.evcc.emit(StationFound(self.evse_id, payments, modes, tuple(offered)))
        if side.mode not in modes:
            raise PeerError(f"the station offers {', '.join(modes)}, the vehicle needs {side.mode}")
        if self.payment not in payments:
            self.payment = self._fallback(payments)
        self.services = [pair for pair in side.services if pair[0] in offered]
        if self.payment == "Contract" and side.certificate_action and CERTIFICATE_SERVICE_ID in offered:
            self.services.append((CERTIFICATE_SERVICE_ID, {"install": 1, "update": 2}[side.certificate_action]))
        self.details = [identifier for identifier, _ in self.services]
        return self.giving_up() or ("detail" if self.details else "select")

    def _fallback(self, payments: tuple[str, ...]) -> str:
        """Another way to pay. Raises PeerError."""
        able = ("ExternalPayment",) if self.contract is None else ("ExternalPayment", "Contract")
        for payment in payments:
            if payment in able:
                self.evcc.emit(Tolerated(f"the station does not offer payment by {self.payment}"))
                return payment
        raise PeerError(f"the station takes {', '.join(payments)}, the vehicle pays by {self.payment}")

    def detailed(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        return self.giving_up() or ("detail" if self.details else "select")

    def selected(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        if up := self.giving_up():
            return up
        if self.payment != "Contract":
            return "external payment"
        certificate = any(identifier == CERTIFICATE_SERVICE_ID for identifier, _ in self.services)
        return self.evcc.vehicle.certificate_action if certificate else "contract"

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
        key = open_key(ISO2, sealed, self._provisioning().agree, owner)
        certificates = (chain.Certificate, *(chain.SubCertificates.Certificate if chain.SubCertificates else ()))
        self.contract = ContractCredentials(answer.eMAID.value, certificates, signer(key))  # type: ignore[arg-type]
        self.evcc.emit(ContractInstalled(answer.eMAID.value, certificates, key))
        return OK

    def challenged(self, answer: Any, _message: Any) -> str:
        self.challenge = answer.GenChallenge
        if answer.ResponseCode == "OK_CertificateExpiresSoon":
            self.evcc.emit(Tolerated("the contract certificate expires soon"))
        return self.giving_up() or OK

    def authorized(self, answer: Any, _message: Any) -> str:
        self.challenge = None
        return self.giving_up() or ("finished" if answer.EVSEProcessing == "Finished" else "ongoing")

    def parameters_found(self, answer: Any, message: Any) -> str:
        if up := self.giving_up():
            return up
        if answer.EVSEProcessing != "Finished":
            return "ongoing"
        self.offered(answer, message)
        self._check_tariffs(message)
        if self.is_ac:
            return "AC"
        return "DC renegotiated" if self.renegotiating else "DC"

    def _check_tariffs(self, message: Any) -> None:
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

    def power_delivered(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        kind = "AC" if self.is_ac else "DC"
        state = self.evcc.state
        if state == RENEGOTIATION:
            return OK
        if state == HALT:
            self.evcc.set_pilot("B")
            return "AC pause" if self.is_ac and self.ending == WISH_PAUSE else kind
        return kind

    def status_known(self, answer: Any, _message: Any) -> str:
        limit = answer.EVSEMaxCurrent
        self.evcc.emit(PowerState(None, None, None if limit is None else number(limit), answer.MeterInfo))
        return self._receipt(answer) or self.in_loop(answer.AC_EVSEStatus)

    def current_demanded(self, answer: Any, _message: Any) -> str:
        self.power_seen(answer)
        return self._receipt(answer) or self.in_loop(answer.DC_EVSEStatus)

    def _receipt(self, answer: Any) -> str | None:
        if not answer.ReceiptRequired or answer.MeterInfo is None:
            return None
        self.meter = answer.MeterInfo
        return "receipt"

    def receipt_taken(self, answer: Any, _message: Any) -> str:
        outcome = self.in_loop(answer.EVSEStatus)
        return ("AC" if self.is_ac else "DC") if outcome == "charge" else outcome


def _chain(certificates: tuple[bytes, ...]) -> types.CertificateChainType:
    sub_cas = list(certificates[1:])
    return types.CertificateChainType(
        Certificate=certificates[0],
        SubCertificates=types.SubCertificatesType(Certificate=sub_cas) if sub_cas else None,
    )
