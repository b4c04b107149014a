"""ISO 15118-2: the answer that refuses a request: mandatory fields only, with the least that they may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from v2g.exi.generated.iso2 import types as t

if TYPE_CHECKING:
    from v2g.session.iso2_station import Iso2Station

UNSIGNED_SHORT = 0xFFFF
Refuse = Callable[["Iso2Station", Any, Any], Any]


def _service_id(request: Any) -> int:
    """The one that was asked for, unless it is none."""
    asked = request.ServiceID
    return asked if isinstance(asked, int) and 0 <= asked <= UNSIGNED_SHORT else 0


def _certificate(response: type[Any]) -> Refuse:
    """CertificateInstallationRes and CertificateUpdateRes: every part is mandatory, so each is the shortest one."""

    def refuse(_s: Iso2Station, _r: Any, code: Any) -> Any:
        chain = t.CertificateChainType(Certificate=b"\0")
        return response(
            ResponseCode=code,
            SAProvisioningCertificateChain=chain,
            ContractSignatureCertChain=t.CertificateChainType(Id="id1", Certificate=b"\0"),
            ContractSignatureEncryptedPrivateKey=t.ContractSignatureEncryptedPrivateKeyType(Id="id2", value=b"\0"),
            DHpublickey=t.DiffieHellmanPublickeyType(Id="id3", value=b"\0"),
            eMAID=t.EMAIDType(Id="id4", value="DEPLBC00000000"),
        )

    return refuse


REFUSALS: Mapping[str, Refuse] = MappingProxyType(
    {
        "SessionSetupReq": lambda s, _r, code: t.SessionSetupResType(ResponseCode=code, EVSEID=s.secc.station.evse_id),
        "ServiceDiscoveryReq": lambda s, _r, code: t.ServiceDiscoveryResType(
            ResponseCode=code,
            PaymentOptionList=t.PaymentOptionListType(PaymentOption=s.offered_payments()),
            ChargeService=s.charge_service(),
        ),
        "ServiceDetailReq": lambda _s, r, code: t.ServiceDetailResType(ResponseCode=code, ServiceID=_service_id(r)),
        "PaymentServiceSelectionReq": lambda _s, _r, code: t.PaymentServiceSelectionResType(ResponseCode=code),
        "CertificateInstallationReq": _certificate(t.CertificateInstallationResType),
        "CertificateUpdateReq": _certificate(t.CertificateUpdateResType),
        "PaymentDetailsReq": lambda s, _r, code: t.PaymentDetailsResType(
            ResponseCode=code, GenChallenge=bytes(16), EVSETimeStamp=s.unix_time() or 0
        ),
        "AuthorizationReq": lambda _s, _r, code: t.AuthorizationResType(ResponseCode=code, EVSEProcessing="Finished"),
        "ChargeParameterDiscoveryReq": lambda s, _r, code: t.ChargeParameterDiscoveryResType(
            ResponseCode=code,
            EVSEProcessing="Finished",
            EVSEChargeParameter=s.ac_parameters() if s.is_ac else s.dc_parameters(),
        ),
        "CableCheckReq": lambda s, _r, code: t.CableCheckResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status("EVSE_NotReady"), EVSEProcessing="Finished"
        ),
        "PreChargeReq": lambda s, _r, code: t.PreChargeResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status("EVSE_NotReady"), EVSEPresentVoltage=s.physical("V", 0)
        ),
        "PowerDeliveryReq": lambda s, _r, code: t.PowerDeliveryResType(ResponseCode=code, EVSEStatus=s.status()),
        "ChargingStatusReq": lambda s, _r, code: t.ChargingStatusResType(
            ResponseCode=code,
            EVSEID=s.secc.station.evse_id,
            SAScheduleTupleID=s.secc.facts.schedule,
            AC_EVSEStatus=s.ac_status(),
        ),
        "CurrentDemandReq": lambda s, _r, code: t.CurrentDemandResType(
            ResponseCode=code,
            DC_EVSEStatus=s.dc_status("EVSE_NotReady"),
            EVSEPresentVoltage=s.physical("V", 0),
            EVSEPresentCurrent=s.physical("A", 0),
            EVSECurrentLimitAchieved=False,
            EVSEVoltageLimitAchieved=False,
            EVSEPowerLimitAchieved=False,
            EVSEID=s.secc.station.evse_id,
            SAScheduleTupleID=s.secc.facts.schedule,
        ),
        "MeteringReceiptReq": lambda s, _r, code: t.MeteringReceiptResType(ResponseCode=code, EVSEStatus=s.status()),
        "WeldingDetectionReq": lambda s, _r, code: t.WeldingDetectionResType(
            ResponseCode=code, DC_EVSEStatus=s.dc_status("EVSE_NotReady"), EVSEPresentVoltage=s.physical("V", 0)
        ),
        "SessionStopReq": lambda _s, _r, code: t.SessionStopResType(ResponseCode=code),
    }
)
