"""One case of the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

SOURCE = "rcuquemelle/ISO15118_4_TestEnv"
"""IDs, stimuli and expectations; each ID is the name of a function in TestCase/src/<file> there (commits in FILES)."""

# family -> (file, commit)
FILES = {
    "SDP": ("V2GSDP.cpp", "6f536a13f489554b159dae41bf72430f38c96db8"),
    "V2GTPSDP": ("V2GTPSecc.cpp", "6f536a13f489554b159dae41bf72430f38c96db8"),
    "V2GTPSessionSetup": ("V2GTPSecc.cpp", "6f536a13f489554b159dae41bf72430f38c96db8"),
    "SupportedAppProtocol": ("V2GAppSECCSupportedAppProtocol.cpp", "92257cf54e2ed6718e1c42c87756bc713cc291a6"),
    "SessionSetup": ("V2GAppSECCSessionSetup.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "ServiceDiscovery": ("V2GAppSECCServiceDiscovery.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "ServiceDetail": ("V2GAppSECCServiceDetail.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "PaymentServiceSelection": ("V2GAppSECCPaymentServiceSelection.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "PaymentDetails": ("V2GAppSECCPaymentDetails.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "CertificateInstallation": ("V2GAppSECCCertificateInstallation.cpp", "ec691ca92eaad54561c63c033978f51ce223693b"),
    "CertificateUpdate": ("V2GAppSECCCertificateUpdate.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "Authorization": ("V2GAppSECCAuthorization.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "ChargeParameterDiscovery": ("V2GAppSECCChargeParameterDiscovery.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "CableCheck": ("V2GAppSECCCableCheck.cpp", "b192df0151cfdd98f43ebe7d11adf2368fa42153"),
    "PreCharge": ("V2GAppSECCPreCharge.cpp", "ec691ca92eaad54561c63c033978f51ce223693b"),
    "PowerDelivery": ("V2GAppSECCPowerDelivery.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "ChargingStatus": ("V2GAppSECCChargingStatus.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "CurrentDemand": ("V2GAppSECCCurrentDemand.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "MeteringReceipt": ("V2GAppSECCMeteringReceipt.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "WeldingDetection": ("V2GAppSECCWeldingDetection.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "SessionStop": ("V2GAppSECCSessionStop.cpp", "0ba4a362d5fa6362b5b95a7ea2531f3039eb8552"),
    "Abnormal": ("V2GAppSECCAbnormal.cpp", "26879cfb6fbe7cdfdc8fa2ddce4e25cdac797dce"),
}


class Case(NamedTuple):
    """group: "CMN", "AC" or "DC". run: stimulus and expectation. not_applicable: why there is none at this level."""

    group: str
    family: str
    number: int
    run: Callable[[], object] | None = None
    not_applicable: str = ""

    @property
    def id(self) -> str:
        """The ID of the source."""
        return f"TC_SECC_{self.group}_VTB_{self.family}_{self.number:03}"


def rows(group: str, family: str, cases: dict[int, Callable[[], object] | str]) -> tuple[Case, ...]:
    """Cases of a family; a text says why one is not applicable."""
    return tuple(
        Case(group, family, number, not_applicable=what) if isinstance(what, str) else Case(group, family, number, what)
        for number, what in cases.items()
    )
