"""Published certificate chains at fixed dates, with OpenSSL as second judge.

Certificates: examples of the OPCP specification (hubject/opcp, CC BY-SA 4.0), thoughtworks/maeve-csms (Apache-2.0),
V2GClarity/RISE-V2G (MIT); expected results as recorded beside them (index.json).
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from v2g.certificate_profiles import HUBJECT_QA, ISO2_STRICT, RISE, Role
from v2g.certificates import CertificateError, check_chain, common_name, load

ITEMS = Path(__file__).parents[3] / "shared" / "data" / "opcp" / "items"
if not ITEMS.is_dir():
    pytest.skip(f"public test data {ITEMS} is absent", allow_module_level=True)
HUBJECT_ROOT = "trust-anchors/V2GRootCAQAG1.der"
RISE_ROOT = "rise-v2g-kat/v2gRootCACert.pem"
RES, SIGNED = "opcp-ccp-res-EMP99CQAPAB004", "opcp-cps-signedData-EMP99CQATEST001"
CONTRACT = "ContractSignatureCertChain"
CPS = "SAProvisioningCertificateChain"

# folder, leaf, sub-CAs, role, date -> "" (valid) or what the error says
CASES = [
    (RES, f"{CONTRACT}.leaf", [f"{CONTRACT}.sub1", f"{CONTRACT}.sub2"], Role.CONTRACT, "2021-12-01", ""),
    (RES, f"{CPS}.leaf", [f"{CPS}.sub1", f"{CPS}.sub2"], Role.CPS, "2021-12-01", ""),
    (
        RES,
        f"{CONTRACT}.leaf",
        [f"{CONTRACT}.sub1", f"{CONTRACT}.sub2"],
        Role.CONTRACT,
        "2026-11-20",
        "expired 2022-08-30",
    ),
    (RES, f"{CPS}.leaf", [f"{CPS}.sub1", f"{CPS}.sub2"], Role.CPS, "2026-11-20", "expired 2023-04-26"),
    (SIGNED, f"{CONTRACT}.leaf", [f"{CONTRACT}.sub1", f"{CONTRACT}.sub2"], Role.CONTRACT, "2022-06-01", ""),
    (SIGNED, f"{CPS}.leaf", [f"{CPS}.sub1", f"{CPS}.sub2"], Role.CPS, "2022-06-01", ""),
    (
        SIGNED,
        f"{CONTRACT}.leaf",
        [f"{CONTRACT}.sub1", f"{CONTRACT}.sub2"],
        Role.CONTRACT,
        "2026-11-20",
        "expired 2022-12-10",
    ),
    (
        "opcp-cps-contract-data",
        "00_contractSignatureCertChainCertificate",
        ["sub0", "sub1"],
        Role.CONTRACT,
        "2022-06-01",
        "",
    ),
    (
        "opcp-cps-ContractData",
        "00_contractCertificate",
        ["02_contractSubCa1Certificate", "01_contractSubCa2Certificate"],
        Role.CONTRACT,
        "2022-06-01",
        "",
    ),
    (
        "opcp-cps-cpsSigner",
        "00_cpsCertificate",
        ["01_cpsCa2Certificate", "02_cpsCa1Certificate"],
        Role.CPS,
        "2022-06-01",
        "",
    ),
    (
        "opcp-cps-cpsSigner",
        "00_cpsCertificate",
        ["01_cpsCa2Certificate", "02_cpsCa1Certificate"],
        Role.CPS,
        "2026-11-20",
        "expired 2023-04-26",
    ),
    (
        "opcp-pcp-add-huboemprovcqa0615",
        "vehicleCertificate_2",
        ["subCA1Certificate_0", "subCA2Certificate_1"],
        Role.OEM_PROVISIONING,
        "2023-01-01",
        "",
    ),
    (
        "opcp-pcp-add-huboemprovcqa0615",
        "vehicleCertificate_2",
        ["subCA1Certificate_0", "subCA2Certificate_1"],
        Role.OEM_PROVISIONING,
        "2026-11-20",
        "expired 2025-06-15",
    ),
    (
        "opcp-pcp-get-hubUsEaTest000003",
        "vehicleCertificate_2",
        ["subCA1Certificate_0", "subCA2Certificate_1"],
        Role.OEM_PROVISIONING,
        "2022-01-01",
        "no path to a trusted root",
    ),
    (
        "opcp-ccp-req-hubjectopenpnc0001",
        "oem_leaf",
        [],
        Role.OEM_PROVISIONING,
        "2021-06-01",
        "no path to a trusted root",
    ),
    ("maeve-HUBOpenProvCert001", "cert0", ["cert1", "cert2"], Role.CONTRACT, "2023-09-01", ""),
    ("maeve-HUBOpenProvCert001", "cert0", ["cert1", "cert2"], Role.CONTRACT, "2026-11-20", "expired 2024-03-01"),
    ("maeve-HUBOpenProvCert002", "cert0", ["cert1", "cert2"], Role.CONTRACT, "2023-09-01", ""),
    (
        "maeve-HUBOpenProvCert002",
        "cert0",
        ["cert1", "cert2"],
        Role.CONTRACT,
        "2023-01-01",
        "not valid before 2023-05-23",
    ),
    ("rise-v2g-kat", "cpsLeafCert", ["cpsSubCA1Cert", "cpsSubCA2Cert"], Role.CPS, "2018-10-01", ""),
    ("rise-v2g-kat", "cpsLeafCert", ["cpsSubCA1Cert", "cpsSubCA2Cert"], Role.CPS, "2026-11-20", "expired 2018-11-13"),
]


def read(folder: str, name: str) -> bytes:
    path = ITEMS / folder / name
    return next(
        path.with_name(path.name + end) for end in (".der", ".pem") if (path.with_name(path.name + end)).is_file()
    ).read_bytes()


def case_id(case) -> str:
    return f"{case[0]}-{case[3].name}-{case[4]}"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_published_chain_at_its_date(case):
    folder, leaf, subs, role, date, complaint = case
    rise = folder == "rise-v2g-kat"
    root = load((ITEMS / (RISE_ROOT if rise else HUBJECT_ROOT)).read_bytes())

    def check():
        return check_chain(
            load(read(folder, leaf)),
            [load(read(folder, sub)) for sub in subs],
            [root],
            role=role,
            profile=RISE if rise else HUBJECT_QA,
            at=datetime.fromisoformat(date).replace(tzinfo=UTC),
        )

    if not complaint:
        assert common_name(check()[-1]) == common_name(root)
    else:
        with pytest.raises(CertificateError, match=complaint) as raised:
            check()
        assert all(problem.subject.startswith("CN=") for problem in raised.value.problems)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_openssl_gives_the_same_verdict(case, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder, leaf, subs, _, date, complaint = case

    def pem(name: str, *parts: bytes) -> str:
        text = ""
        for part in parts:
            if part.startswith(b"-----"):
                text += part.decode()
            else:
                command = ["openssl", "x509", "-inform", "DER"]
                text += subprocess.run(command, input=part, capture_output=True, check=True).stdout.decode()
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    root = (ITEMS / (RISE_ROOT if folder == "rise-v2g-kat" else HUBJECT_ROOT)).read_bytes()
    at = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())
    # security level 0: the published RISE-V2G set is signed with SHA-1
    command = ["openssl", "verify", "-auth_level", "0", "-attime", str(at), "-CAfile", pem("root", root)]
    if subs:
        command += ["-untrusted", pem("subs", *(read(folder, sub) for sub in subs))]
    result = subprocess.run([*command, pem("leaf", read(folder, leaf))], capture_output=True, check=False)
    assert (result.returncode == 0) == (complaint == ""), result.stderr.decode()


def test_the_strict_profile_refuses_what_the_field_leaves_out():
    with pytest.raises(CertificateError) as raised:
        check_chain(
            load(read(RES, f"{CONTRACT}.leaf")),
            [load(read(RES, f"{CONTRACT}.sub{n}")) for n in (1, 2)],
            [load((ITEMS / HUBJECT_ROOT).read_bytes())],
            role=Role.CONTRACT,
            profile=ISO2_STRICT,
            at=datetime(2021, 12, 1, tzinfo=UTC),
        )
    texts = [problem.text for problem in raised.value.problems if "EMP99CQAPAB004" in problem.subject]
    assert [text.split(" (")[0] for text in texts] == [
        "subject has no DC, expected MO",
        "no basicConstraints",
        "no keyUsage",
    ]
