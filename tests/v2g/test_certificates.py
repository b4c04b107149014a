"""Certificate profiles and chains, on a PKI made here and on published certificates."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.errors import LocalError
from v2g.certificate_profiles import HUBJECT_QA, ISO2_STRICT, ISO20_STRICT, PROFILES, RISE, Role
from v2g.certificates import (
    CertificateError,
    check_certificate,
    check_chain,
    common_name,
    describe,
    load,
    load_all,
    problems_of,
    public_key,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
USES = {
    "ca": ("key_cert_sign", "crl_sign"),
    "contract": ("digital_signature", "content_commitment", "key_encipherment", "key_agreement"),
    "sign": ("digital_signature",),
    "agree": ("digital_signature", "key_agreement"),
}
ALL_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Issued:
    """A certificate made here, with its key."""

    def __init__(
        self, cn, dc, use, issuer=None, *, path=None, curve=None, years=4, start=NOW, ocsp=True, bc=True, ca=None
    ):
        self.key = (
            ed448.Ed448PrivateKey.generate() if curve == "ed448" else ec.generate_private_key(curve or ec.SECP256R1())
        )
        signer = issuer or self
        ca = use == "ca" if ca is None else ca
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, cn), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")]
        if dc:
            parts.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, dc))
        self.name = x509.Name(parts)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - timedelta(days=365))
            .not_valid_after(start + timedelta(days=365 * years))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if bc:
            builder = builder.add_extension(x509.BasicConstraints(ca, path), critical=True)
        if use:
            flags = {name: name in USES[use] for name in ALL_USES}
            builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
        if ocsp:
            uri = x509.UniformResourceIdentifier("http://127.0.0.1/ocsp")
            builder = builder.add_extension(
                x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, uri)]),
                False,
            )
        self.built = builder.sign(signer.key, _hash(signer.key))
        self.der = self.built.public_bytes(Encoding.DER)
        self.certificate = load(self.der)


def _hash(key):
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    return hashes.SHA512() if key.curve.name == "secp521r1" else hashes.SHA256()


@cache
def pki(curve=None) -> dict[str, Issued]:
    root = Issued("V2G Root", "V2G", "ca", curve=curve)
    sub1 = Issued("Sub1", "MO", "ca", root, path=1, curve=curve)
    sub2 = Issued("Sub2", "MO", "ca", sub1, path=0, curve=curve)
    leaf = Issued("DEABCC123ABC56", "MO", "contract", sub2, curve=curve)
    return {"root": root, "sub1": sub1, "sub2": sub2, "leaf": leaf}


def check(chain: dict[str, Issued], profile=ISO2_STRICT, role=Role.CONTRACT, at=NOW, **more):
    subs = [chain[name].certificate for name in chain if name.startswith("sub")]
    return check_chain(
        chain["leaf"].certificate, subs, [chain["root"].certificate], role=role, profile=profile, at=at, **more
    )


@pytest.mark.parametrize(
    ("curve", "profile"),
    [(None, ISO2_STRICT), (ec.SECP521R1(), ISO20_STRICT), ("ed448", ISO20_STRICT)],
    ids=["P-256", "P-521", "Ed448"],
)
def test_a_strict_chain_passes_and_comes_back_in_order(curve, profile):
    path = check(pki(curve), profile)
    assert [common_name(c) for c in path] == ["DEABCC123ABC56", "Sub2", "Sub1", "V2G Root"]
    assert public_key(path[0]) == pki(curve)["leaf"].key.public_key()


def test_the_wrong_curve_is_named_for_each_certificate():
    with pytest.raises(CertificateError) as raised:
        check(pki(ec.SECP521R1()))
    texts = [str(p) for p in raised.value.problems]
    assert sum("key is secp521r1, allowed: secp256r1" in t for t in texts) == 4
    assert sum("signed with sha512_ecdsa" in t for t in texts) == 4
    assert all(t.startswith("CN=") for t in texts)


def test_validity_names_subject_and_dates():
    with pytest.raises(CertificateError, match=r"CN=DEABCC123ABC56, DC=MO, O=Test: expired 20\d\d"):
        check(pki(), at=NOW + timedelta(days=366 * 5))
    with pytest.raises(CertificateError, match=r"CN=V2G Root, .*not valid before 2025"):
        check(pki(), at=NOW - timedelta(days=366))


def test_a_leaf_of_another_pki_finds_no_root():
    chain = {**pki(), "root": Issued("Other Root", "V2G", "ca")}
    with pytest.raises(CertificateError, match=r"CN=DEABCC123ABC56.*no path to a trusted root.*CN=Other Root"):
        check(chain)


def test_a_root_of_the_same_name_with_another_key_is_refused():
    with pytest.raises(CertificateError, match=r"CN=DEABCC123ABC56"):
        check({**pki(), "root": Issued("V2G Root", "V2G", "ca")})


def test_without_roots_nothing_is_trusted():
    chain = pki()
    with pytest.raises(CertificateError, match="roots: none"):
        check_chain(
            chain["leaf"].certificate,
            [chain["sub1"].certificate, chain["sub2"].certificate],
            [],
            role=Role.CONTRACT,
            profile=ISO2_STRICT,
            at=NOW,
        )


def test_a_leaf_that_is_trusted_itself_is_refused():
    leaf = load(pki()["leaf"].der)
    with pytest.raises(CertificateError, match="the leaf is one of the trusted roots"):
        check_chain(leaf, [], [leaf], role=Role.CONTRACT, profile=ISO2_STRICT, at=NOW)


def test_a_missing_sub_ca_is_reported():
    with pytest.raises(CertificateError, match="no path"):
        check({name: issued for name, issued in pki().items() if name != "sub2"})


def test_three_sub_cas_are_too_many():
    chain = pki()
    first = Issued("Sub0", "MO", "ca", chain["root"], path=2)
    sub1 = Issued("Sub1", "MO", "ca", first, path=1)
    sub2 = Issued("Sub2", "MO", "ca", sub1, path=0)
    leaf = Issued("DEABCC123ABC56", "MO", "contract", sub2)
    with pytest.raises(CertificateError, match="3 sub-CAs, at most 2"):
        check({"root": chain["root"], "sub0": first, "sub1": sub1, "sub2": sub2, "leaf": leaf})


def test_a_leaf_cannot_issue():
    chain = pki()
    fake = Issued("DEABCC123ABC57", "MO", "contract", chain["leaf"])
    with pytest.raises(CertificateError, match="no CA"):
        check({**chain, "sub3": chain["leaf"], "leaf": fake})


@pytest.mark.parametrize(
    ("issued", "role", "complaint"),
    [
        (lambda i: Issued("DEABCC123ABC56", None, "contract", i), Role.CONTRACT, "subject has no DC, expected MO"),
        (lambda i: Issued("DEABCC123ABC56", "OEM", "contract", i), Role.CONTRACT, "DC=OEM, expected MO"),
        (lambda i: Issued("not an id", "MO", "contract", i), Role.CONTRACT, "common name 'not an id' is no EMAID"),
        (lambda i: Issued("WBAPCID", "OEM", "agree", i), Role.OEM_PROVISIONING, "'WBAPCID' is no PCID"),
        (lambda i: Issued("x", "CPO", "agree", i), Role.SECC, "'x' is no EVSEID or SECCID"),
        (lambda i: Issued("DEABCC123ABC56", "MO", "sign", i), Role.CONTRACT, "keyUsage lacks key_agreement"),
        (lambda i: Issued("CPS", "CPS", "agree", i), Role.CPS, "keyUsage has key_agreement beyond the profile"),
        (lambda i: Issued("CPS", "CPS", None, i), Role.CPS, "no keyUsage"),
        (lambda i: Issued("CPS", "CPS", "sign", i, bc=False), Role.CPS, "no basicConstraints"),
        (lambda i: Issued("CPS", "CPS", "sign", i, ca=True), Role.CPS, "basicConstraints says CA"),
        (lambda i: Issued("DEABCC123ABC56", "MO", "contract", i, ocsp=False), Role.CONTRACT, "no OCSP responder"),
        (lambda i: Issued("Sub", "MO", "ca", i), Role.SUB_CA_2, "pathLenConstraint none, expected 0"),
        (lambda i: Issued("Sub", "MO", "ca", i, path=0), Role.SUB_CA_1, "pathLenConstraint 0, expected 1"),
        (lambda i: Issued("C" * 64, "V2G", "ca", i, path=0), Role.V2G_ROOT, "pathLenConstraint 0, expected none"),
    ],
)
def test_each_rule_is_checked_and_named(issued, role, complaint):
    certificate = issued(pki()["sub2"]).certificate
    with pytest.raises(CertificateError, match=complaint) as raised:
        check_certificate(certificate, role, ISO2_STRICT, NOW)
    assert all(p.subject == describe(certificate.subject) for p in raised.value.problems)


@pytest.mark.parametrize(
    ("name", "role", "dc", "use"),
    [
        ("DE*ABC*E1234", Role.SECC, "CPO", "agree"),
        ("DE-ICE-S-00003C4D557878675645330967543476-2", Role.SECC, "CPO", "agree"),
        ("WBAPCID0123456789", Role.OEM_PROVISIONING, "OEM", "agree"),
        ("WBAPCID01234567890", Role.VEHICLE, "OEM", "agree"),
        ("CPS 2024.4", Role.CPS, "CPS", "sign"),
        ("DE-ABC-C123ABC56-7", Role.CONTRACT, "MO", "contract"),
    ],
)
def test_good_leafs_of_every_role_pass(name, role, dc, use):
    check_certificate(Issued(name, dc, use, pki()["sub2"]).certificate, role, ISO2_STRICT, NOW)


def test_a_sales_tariff_signing_sub_ca_passes():
    """DigitalSignature and nonRepudiation beside the CA uses, as MO Sub-CAs 2 in the field have."""
    assert "digital_signature" in ISO2_STRICT.rules[Role.SUB_CA_2].more_key_usage


def test_an_oversized_certificate_is_refused():
    big = Issued("CPS " + "x" * 60, "CPS", "sign", pki()["sub2"]).certificate
    assert not problems_of(big, Role.CPS, ISO2_STRICT)
    size = len(big.dump())
    (problem,) = problems_of(big, Role.CPS, replace(ISO2_STRICT, max_octets=size - 1))
    assert problem.text.startswith(f"{size} octets, at most {size - 1} allowed")


def _ocsp_response(chain, status) -> bytes:
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            chain["leaf"].built,
            chain["sub2"].built,
            hashes.SHA1(),
            status,
            NOW - timedelta(hours=1),
            NOW + timedelta(days=1),
            NOW - timedelta(days=2) if revoked else None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, chain["sub2"].built)
        .sign(chain["sub2"].key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def test_a_revoked_leaf_is_refused_and_a_good_one_passes():
    chain = pki()
    check(chain, ocsp_responses=[_ocsp_response(chain, ocsp.OCSPCertStatus.GOOD)])
    with pytest.raises(CertificateError, match=r"CN=DEABCC123ABC56.*revoked"):
        check(chain, ocsp_responses=[_ocsp_response(chain, ocsp.OCSPCertStatus.REVOKED)])


def test_revocation_can_be_demanded():
    with pytest.raises(CertificateError, match=r"revocation|OCSP|CRL"):
        check(pki(), revocation_required=True)


def test_our_own_mistakes_are_local_errors():
    with pytest.raises(LocalError, match="time zone"):
        check(pki(), at=datetime(2026, 6, 1))  # noqa: DTZ001 - that is the mistake
    with pytest.raises(LocalError, match="ends in a leaf"):
        check(pki(), role=Role.SUB_CA_1)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_breaks_the_chain(data):
    chain = pki()
    name = data.draw(st.sampled_from(["leaf", "sub2", "sub1"]))
    octets = bytearray(chain[name].der)
    bit = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CertificateError):
        check_octets({n: i.der for n, i in chain.items()} | {name: bytes(octets)})


def test_unused_bits_in_the_signature_are_refused():
    """DER forbids them, parsers let them pass, and nothing that is signed covers the number of unused bits."""
    octets = bytearray(pki()["leaf"].der)
    octets[octets.rindex(pki()["leaf"].built.signature) - 1] = 1
    with pytest.raises(CertificateError, match="no whole number of octets"):
        load(bytes(octets))


def check_octets(chain: dict[str, bytes]):
    leaf, sub2, sub1, root = (load(chain[name]) for name in ("leaf", "sub2", "sub1", "root"))
    check_chain(leaf, [sub1, sub2], [root], role=Role.CONTRACT, profile=ISO2_STRICT, at=NOW)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_a_certificate_or_a_documented_error(octets):
    with contextlib.suppress(CertificateError):
        load(octets)


def test_every_published_certificate_can_be_read_and_described(opcp_data: Path):
    files = sorted([*opcp_data.glob("items/*/*.der"), *opcp_data.glob("items/rise-v2g-kat/*Cert.pem")])
    assert len(files) > 35
    for file in files:
        certificate = load(file.read_bytes())
        assert describe(certificate.subject).startswith("CN=")
        public_key(certificate)


def test_the_name_is_written_as_the_root_pool_writes_it(opcp_data: Path):
    root = load((opcp_data / "items/opcp-rcp-V2GRootCA-G2/root.der").read_bytes())
    assert describe(root.subject) == "CN=V2G Root CA G2, DC=V2G, O=Hubject GmbH, C=DE"


def test_a_pem_bundle_gives_all_its_certificates(opcp_data: Path):
    bundle = (opcp_data / "items/maeve-HUBOpenProvCert001/HUBOpenProvCert001.pem").read_bytes()
    names = [common_name(certificate) for certificate in load_all(bundle)]
    assert names == ["EMP77TWTW00002", "MO Sub2 CA QA G1.2.1", "MO Sub1 CA QA G1.2"]
    assert len(load_all(pki()["leaf"].der)) == 1
    for broken in (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(CertificateError, match="PEM bundle"):
            load_all(broken)


def test_profiles_are_found_by_name():
    assert set(PROFILES) == {"iso2-strict", "iso20-strict", "hubject-qa", "rise"}
    assert PROFILES["rise"] is RISE
    assert PROFILES["hubject-qa"] is HUBJECT_QA
