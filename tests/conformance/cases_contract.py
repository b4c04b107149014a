"""Payment by contract: details, installation, update, authorization."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.conformance.case import rows
from tests.conformance.stimuli import bad, good, instead, ongoing, silence, unknown_session
from tests.conformance.tester import Change, Tester
from tests.v2g.session.pki import EMAID, make_pki
from tests.v2g.test_certificates import NOW, Issued
from v2g.certificate_profiles import ISO2_STRICT
from v2g.session.timers import SECC_ONGOING_PERFORMANCE
from v2g.session.vehicle_side import ContractCredentials
from v2g.signature_suites import signer

OLD = {"start": NOW - timedelta(days=800), "years": 1}
NO_CONTRACT = ("FAILED", "FAILED_NoCertificateAvailable", "FAILED_ContractCanceled")
NOT_ALLOWED = ("FAILED", "FAILED_NoCertificateAvailable", "FAILED_CertificateNotAllowedAtThisEVSE")
INSTALL, UPDATE, DETAILS = "CertificateInstallationReq", "CertificateUpdateReq", "PaymentDetailsReq"
AUTHORIZATION = "AuthorizationReq"


def pnc(handling: str = "", **more: Any) -> Tester:
    """Payment by contract over TLS."""
    return Tester(identification="pnc", handling=handling, **more)


def slow(tester: Tester) -> Tester:
    """A station whose authorization never ends."""
    tester.station.slow = frozenset({"AuthorizationWanted"})
    return tester


def with_chain(tester: Tester, leaf: Issued, *sub_cas: Issued, emaid: str = EMAID) -> Tester:
    """A tester with another contract."""
    certificates = (leaf.der, *(one.der for one in sub_cas))
    tester.contract = ContractCredentials(emaid, certificates, signer(leaf.key))
    return tester


def contract(issuer: Issued | None = None, name: str = EMAID, **more: Any) -> Issued:
    """A contract certificate."""
    return Issued(name, "MO", "contract", issuer or make_pki().mo_sub_2, **more)


def chain(tester: Tester, case: str) -> Tester:
    """A tester whose contract's chain has something wrong with it."""
    pki = make_pki()
    other_root = Issued("Other Root", "MO", "ca")
    other_1 = Issued("MO Sub 1", "MO", "ca", other_root, path=1)
    other_2 = Issued("MO Sub 2", "MO", "ca", other_1, path=0)
    old_2 = Issued("MO Sub 2", "MO", "ca", pki.mo_sub_1, path=0, **OLD)  # type: ignore[arg-type]
    old_1 = Issued("MO Sub 1", "MO", "ca", pki.mo_root, path=1, **OLD)  # type: ignore[arg-type]
    below_old_1 = Issued("MO Sub 2", "MO", "ca", old_1, path=0)
    chains: dict[str, tuple[Issued, ...]] = {
        "inverted": (pki.contract, pki.mo_sub_1, pki.mo_sub_2),
        "leaf": (contract(other_2), pki.mo_sub_2, pki.mo_sub_1),
        "sub 2": (pki.contract, other_2, pki.mo_sub_1),
        "sub 1": (pki.contract, pki.mo_sub_2, other_1),
        "all": (contract(other_2), other_2, other_1),
        "expired": (contract(**OLD), pki.mo_sub_2, pki.mo_sub_1),
        "expired sub 2": (contract(old_2), old_2, pki.mo_sub_1),
        "expired sub 1": (contract(below_old_1), below_old_1, old_1),
        "other eMAID": (contract(name="DE1ABCD2EF357B"), pki.mo_sub_2, pki.mo_sub_1),
        "invalid eMAID": (contract(name="Invalid_EMAID_"), pki.mo_sub_2, pki.mo_sub_1),
    }
    return with_chain(tester, *chains[case])


def with_country(tester: Tester) -> Tester:
    """A contract certificate with a country in its name, which annex F does not have."""
    pki = make_pki()
    leaf = contract()
    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, EMAID),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "MO"),
    ]
    leaf.der = _reissued(leaf, names, pki.mo_sub_2)
    return with_chain(tester, leaf, pki.mo_sub_2, pki.mo_sub_1)


def _reissued(leaf: Issued, names: list[x509.NameAttribute[str]], issuer: Issued) -> bytes:
    built = leaf.built
    builder = (
        x509.CertificateBuilder(subject_name=x509.Name(names), issuer_name=issuer.name)
        .public_key(built.public_key())
        .serial_number(built.serial_number)
        .not_valid_before(built.not_valid_before_utc)
        .not_valid_after(built.not_valid_after_utc)
    )
    for extension in built.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


STRICT = {"forbidden_attributes": frozenset({"country_name"}), "provisioning_profile": ISO2_STRICT}


def _emaid(value: str) -> Change:
    def change(request: Any) -> None:
        request.eMAID = value

    return change


def _roots(request: Any) -> None:
    request.ListOfRootCertificateIDs.RootCertificateID[0].X509SerialNumber = 2


def _challenge(request: Any) -> None:
    request.GenChallenge = bytes(16)


def _renamed(request: Any) -> None:
    request.GenChallenge = request.GenChallenge  # the challenge stays, so that only the signature is wrong
    request.Id = "id2"


def _provisioning(leaf: Issued) -> Change:
    def change(request: Any) -> None:
        request.OEMProvisioningCert = leaf.der

    return change


def _details(tester: Tester) -> None:
    answer = good(tester, DETAILS)
    assert len(answer.GenChallenge) == 16
    assert any(answer.GenChallenge)
    assert answer.EVSETimeStamp == int(NOW.timestamp())


def _authorized(tester: Tester) -> None:
    assert good(tester, AUTHORIZATION).EVSEProcessing == "Finished"


def _certificate(tester: Tester, request: str) -> None:
    answer = good(tester, request)
    assert answer.ContractSignatureCertChain.Certificate == make_pki().new_contract.der
    assert answer.eMAID.value


def _bad_provisioning(leaf: Issued, *codes: str) -> None:
    tester = pnc("install", settings=STRICT)
    bad(tester, INSTALL, _provisioning(leaf), *codes, sign=signer(leaf.key))


def _wrong_key() -> Any:
    return signer(make_pki().cps.key)


def provisioning(domain: str = "OEM", **more: Any) -> Issued:
    """A provisioning certificate."""
    return Issued("WMIV1234567890ABCDEX", domain, "agree", make_pki().oem_root, **more)


CASES = (
    *rows(
        "CMN",
        "PaymentDetails",
        {
            1: lambda: _details(pnc()),
            2: lambda: _details(pnc("install")),
            3: lambda: _details(pnc("update")),
            4: lambda: instead(pnc(), DETAILS),
            5: lambda: unknown_session(pnc(), DETAILS),
            6: lambda: silence(pnc(), DETAILS),
            7: lambda: bad(chain(pnc(), "expired"), DETAILS, None, "FAILED_CertificateExpired"),
            8: lambda: bad(with_country(pnc(settings=STRICT)), DETAILS, None, *NOT_ALLOWED),
            9: lambda: bad(chain(pnc(), "expired sub 2"), DETAILS, None, *NOT_ALLOWED),
            10: lambda: bad(chain(pnc(), "expired sub 1"), DETAILS, None, *NOT_ALLOWED),
        },
    ),
    *rows(
        "CMN",
        "CertificateInstallation",
        {
            1: lambda: _certificate(pnc("install"), INSTALL),
            2: lambda: instead(pnc("install"), INSTALL),
            3: lambda: unknown_session(pnc("install"), INSTALL),
            4: lambda: silence(pnc("install"), INSTALL),
            5: lambda: bad(pnc("install"), INSTALL, None, "FAILED_SignatureError", sign=_wrong_key()),
            6: lambda: bad(pnc("install"), INSTALL, None, "FAILED_SignatureError", after=_roots),
            7: lambda: _bad_provisioning(provisioning(**OLD), "FAILED_CertificateExpired"),
            8: lambda: _bad_provisioning(provisioning("OTHER"), "FAILED", "FAILED_NoCertificateAvailable"),
        },
    ),
    *rows(
        "CMN",
        "CertificateUpdate",
        {
            1: lambda: _certificate(pnc("update"), UPDATE),
            2: lambda: instead(pnc("update"), UPDATE),
            3: lambda: unknown_session(pnc("update"), UPDATE),
            4: lambda: silence(pnc("update"), UPDATE),
            5: lambda: bad(pnc("update"), UPDATE, None, "FAILED_SignatureError", sign=_wrong_key()),
            6: lambda: bad(pnc("update"), UPDATE, None, "FAILED_SignatureError", after=_roots),
            7: lambda: bad(chain(pnc("update"), "inverted"), UPDATE, None, "FAILED_CertChainError"),
            8: lambda: bad(chain(pnc("update"), "leaf"), UPDATE, None, "FAILED_CertChainError"),
            9: lambda: bad(chain(pnc("update"), "sub 2"), UPDATE, None, "FAILED_CertChainError"),
            10: lambda: bad(chain(pnc("update"), "sub 1"), UPDATE, None, "FAILED_CertChainError"),
            11: lambda: bad(chain(pnc("update"), "all"), UPDATE, None, "FAILED_CertChainError"),
            12: lambda: bad(pnc("update"), UPDATE, _emaid("DE1ABCD2EF357B"), *NO_CONTRACT),
            13: lambda: bad(pnc("update"), UPDATE, _emaid("Invalid_EMAID_"), *NO_CONTRACT),
            14: lambda: bad(chain(pnc("update"), "other eMAID"), UPDATE, None, *NO_CONTRACT),
            15: lambda: bad(chain(pnc("update"), "invalid eMAID"), UPDATE, None, *NO_CONTRACT),
            16: lambda: bad(chain(pnc("update"), "expired"), UPDATE, None, "FAILED_CertificateExpired"),
            17: lambda: bad(
                with_country(pnc("update", settings=STRICT)), UPDATE, None, "FAILED", "FAILED_NoCertificateAvailable"
            ),
        },
    ),
    *rows(
        "CMN",
        "Authorization",
        {
            1: lambda: _authorized(Tester()),
            2: lambda: _authorized(pnc()),
            3: lambda: instead(Tester(), AUTHORIZATION),
            4: lambda: instead(pnc(), AUTHORIZATION),
            5: lambda: unknown_session(Tester(), AUTHORIZATION),
            6: lambda: unknown_session(pnc(), AUTHORIZATION),
            7: lambda: bad(pnc(), AUTHORIZATION, _challenge, "FAILED_ChallengeInvalid"),
            8: lambda: silence(Tester(), AUTHORIZATION),
            9: lambda: silence(pnc(), AUTHORIZATION),
            10: lambda: bad(pnc(), AUTHORIZATION, None, "FAILED_SignatureError", sign=_wrong_key()),
            11: lambda: bad(pnc(), AUTHORIZATION, None, "FAILED_SignatureError", after=_renamed),
            12: lambda: _authorized(pnc("install")),
            13: lambda: _authorized(pnc("update")),
            14: lambda: ongoing(
                slow(Tester(settings={"customer_timeout": SECC_ONGOING_PERFORMANCE})),
                AUTHORIZATION,
                "Ongoing_WaitingForCustomerInteraction",
            ),
            15: lambda: ongoing(slow(pnc()), AUTHORIZATION),
            16: lambda: ongoing(slow(pnc("install")), AUTHORIZATION),
            17: lambda: ongoing(slow(pnc("update")), AUTHORIZATION),
        },
    ),
)
