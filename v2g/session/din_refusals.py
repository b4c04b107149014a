"""DIN SPEC 70121: the answer that refuses a request: mandatory fields only, with the least that they may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from v2g.exi.generated.din import types as t

if TYPE_CHECKING:
    from v2g.session.din_station import DinStation

Refuse = Callable[["DinStation", Any, Any], Any]

_NOT_READY = "EVSE_NotReady"


def _ac_status() -> t.AC_EVSEStatusType:
    return t.AC_EVSEStatusType(PowerSwitchClosed=False, RCD=False, NotificationMaxDelay=0, EVSENotification="None")


def _certificate(response: type[Any], **more: int) -> Refuse:
    def refuse(_s: DinStation, _r: Any, code: Any) -> Any:
        return response(
            Id="id1",
            ResponseCode=code,
            ContractSignatureCertChain=t.CertificateChainType(Certificate=b"\0"),
            ContractSignatureEncryptedPrivateKey=b"\0",
            DHParams=b"\0",
            ContractID="DEPLBC00000000",
            **more,
        )

    return refuse


REFUSALS: Mapping[str, Refuse] = MappingProxyType(
    {
        "SessionSetupReq": lambda s, _r, code: t.SessionSetupResType(ResponseCode=code, EVSEID=s.evse_id),
        "ServiceDiscoveryReq": lambda s, _r, code: s.discovery_body(code),
        "ServiceDetailReq": lambda _s, r, code: t.ServiceDetailResType(
            ResponseCode=code, ServiceID=r.ServiceID if isinstance(r.ServiceID, int) else 0
        ),
        "ServicePaymentSelectionReq": lambda _s, _r, code: t.ServicePaymentSelectionResType(ResponseCode=code),
        "PaymentDetailsReq": lambda s, _r, code: t.PaymentDetailsResType(
            ResponseCode=code, GenChallenge="0", DateTimeNow=s.unix_time() or 0
        ),
        "CertificateInstallationReq": _certificate(t.CertificateInstallationResType),
        "CertificateUpdateReq": _certificate(t.CertificateUpdateResType, RetryCounter=-1),
        "ContractAuthenticationReq": lambda _s, _r, code: t.ContractAuthenticationResType(
            ResponseCode=code, EVSEProcessing="Finished"
        ),
        "ChargeParameterDiscoveryReq": lambda s, _r, code: t.ChargeParameterDiscoveryResType(
            ResponseCode=code,
            EVSEProcessing="Finished",
            SASchedules=s.schedule_list(),
            EVSEChargeParameter=s.dc_parameters(),
        ),
        "CableCheckReq": lambda s, _r, code: t.CableCheckResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status(_NOT_READY), EVSEProcessing="Finished"
        ),
        "PreChargeReq": lambda s, _r, code: t.PreChargeResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status(_NOT_READY), EVSEPresentVoltage=s.physical("V", 0)
        ),
        "PowerDeliveryReq": lambda s, _r, code: t.PowerDeliveryResType(
            ResponseCode=code, EVSEStatus=s.dc_status(_NOT_READY)
        ),
        "ChargingStatusReq": lambda s, _r, code: t.ChargingStatusResType(
            ResponseCode=code,
            EVSEID=s.evse_id,
            SAScheduleTupleID=s.secc.facts.schedule,
            ReceiptRequired=False,
            AC_EVSEStatus=_ac_status(),
        ),
        "MeteringReceiptReq": lambda _s, _r, code: t.MeteringReceiptResType(
            ResponseCode=code, AC_EVSEStatus=_ac_status()
        ),
        "CurrentDemandReq": lambda s, _r, code: t.CurrentDemandResType(
            ResponseCode=code,
            DC_EVSEStatus=s.dc_status(_NOT_READY),
            EVSEPresentVoltage=s.physical("V", 0),
            EVSEPresentCurrent=s.physical("A", 0),
            EVSECurrentLimitAchieved=False,
            EVSEVoltageLimitAchieved=False,
            EVSEPowerLimitAchieved=False,
        ),
        "WeldingDetectionReq": lambda s, _r, code: t.WeldingDetectionResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status(_NOT_READY), EVSEPresentVoltage=s.physical("V", 0)
        ),
        "SessionStopReq": lambda _s, _r, code: t.SessionStopResType(ResponseCode=code),
    }
)
