"""Certomancer (PyPI, 0.16) is a second certificate authority and OCSP responder: our checks understand its answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from asn1crypto.x509 import Certificate
from certomancer.integrations.animator import Animator, AnimatorArchStore
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backends.guarded_http import GuardedHttp
from backends.pki.revocation import RevocationChecker, RevocationRules, Revoked, Status
from v2g.certificate_profiles import ISO2_STRICT, Role
from v2g.certificates import CertificateError, check_chain

AT = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2027, 6, 1, tzinfo=UTC)
NAMES = ("root", "sub1", "sub2", "contract", "revoked", "ocsp1", "ocsp2")
CONFIG = """
external-url-prefix: http://pki.test
keysets:
  keys:
    path-prefix: keys
    keys: {{{keys}}}
pki-architectures:
  mo:
    keyset: keys
    entity-defaults: {{country-name: DE, organization-name: Other}}
    entities:
      root: {{common-name: Other MO Root, domain-component: MO}}
      sub1: {{common-name: Other MO Sub 1, domain-component: MO}}
      sub2: {{common-name: Other MO Sub 2, domain-component: MO}}
      contract: {{common-name: DE-OTH-C00000001, domain-component: MO}}
      revoked: {{common-name: DE-OTH-C00000002, domain-component: MO}}
      ocsp1: {{common-name: OCSP 1}}
      ocsp2: {{common-name: OCSP 2}}
    certs:
      root:
        subject: root
        issuer: root
        validity: {{valid-from: "2026-01-01T00:00:00+0000", valid-to: "2060-01-01T00:00:00+0000"}}
        extensions:
          - {{id: basic_constraints, critical: true, value: {{ca: true}}}}
          - {{id: key_usage, critical: true, smart-value: {{schema: key-usage, params: [key_cert_sign, crl_sign]}}}}
      sub1:
        subject: sub1
        issuer: root
        validity: {{valid-from: "2026-01-01T00:00:00+0000", valid-to: "2030-01-01T00:00:00+0000"}}
        extensions:
          - {{id: basic_constraints, critical: true, value: {{ca: true, path_len_constraint: 1}}}}
          - {{id: key_usage, critical: true, smart-value: {{schema: key-usage, params: [key_cert_sign, crl_sign]}}}}
          - id: authority_information_access
            smart-value: {{schema: aia-urls, params: {{ocsp-responder-names: [of-root]}}}}
      sub2:
        subject: sub2
        issuer: sub1
        validity: {{valid-from: "2026-01-01T00:00:00+0000", valid-to: "2030-01-01T00:00:00+0000"}}
        extensions:
          - {{id: basic_constraints, critical: true, value: {{ca: true, path_len_constraint: 0}}}}
          - {{id: key_usage, critical: true, smart-value: {{schema: key-usage, params: [key_cert_sign, crl_sign]}}}}
          - id: authority_information_access
            smart-value: {{schema: aia-urls, params: {{ocsp-responder-names: [of-sub1]}}}}
      contract: &leaf
        subject: contract
        issuer: sub2
        validity: {{valid-from: "2026-01-01T00:00:00+0000", valid-to: "2027-01-01T00:00:00+0000"}}
        extensions:
          - {{id: basic_constraints, critical: true, value: {{ca: false}}}}
          - id: key_usage
            critical: true
            smart-value:
              schema: key-usage
              params: [digital_signature, non_repudiation, key_encipherment, key_agreement]
          - id: authority_information_access
            smart-value: {{schema: aia-urls, params: {{ocsp-responder-names: [of-sub2]}}}}
      revoked:
        template: contract
        subject: revoked
        issuer: sub2
        revocation: {{revoked-since: "2026-05-31T00:00:00+0000", reason: key_compromise}}
{signers}
    services:
      ocsp:
        of-root: {{for-issuer: root, responder-cert: ocsp-root, signing-key: ocsp1}}
        of-sub1: {{for-issuer: sub1, responder-cert: ocsp-sub1, signing-key: ocsp1}}
        of-sub2: {{for-issuer: sub2, responder-cert: ocsp-sub2, signing-key: ocsp2}}
"""
SIGNER = """
      ocsp-{issuer}:
        subject: {subject}
        issuer: {issuer}
        validity: {{valid-from: "2026-01-01T00:00:00+0000", valid-to: "2027-01-01T00:00:00+0000"}}
        extensions:
          - {{id: key_usage, critical: true, smart-value: {{schema: key-usage, params: [digital_signature]}}}}
          - {{id: extended_key_usage, value: [ocsp_signing]}}
          - {{id: ocsp_no_check}}
"""


@pytest.fixture
def config(tmp_path: Path) -> CertomancerConfig:
    (tmp_path / "keys").mkdir()
    for name in NAMES:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "keys" / f"{name}.pem").write_bytes(pem)
    signers = "".join(
        SIGNER.format(issuer=issuer, subject=subject)
        for issuer, subject in (("root", "ocsp1"), ("sub1", "ocsp1"), ("sub2", "ocsp2"))
    )
    keys = ", ".join(f"{name}: {{path: {name}.pem}}" for name in NAMES)
    text = CONFIG.format(keys=keys, signers=signers)
    return CertomancerConfig.from_yaml(text, key_search_dir=str(tmp_path))


@pytest.fixture
async def checker(config: CertomancerConfig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RevocationChecker]:
    animator = Animator(AnimatorArchStore(config.pki_archs), at_time=AT, with_web_ui=False)

    async def public(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    class Served(httpx.AsyncBaseTransport):
        inner = httpx.WSGITransport(animator)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = self.inner.handle_request(httpx.Request(request.method, request.url, content=request.content))
            return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.read()))

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", public)
    http = GuardedHttp(transport=Served())
    yield RevocationChecker(http=http, rules=RevocationRules(retry_s=1))
    await http.close()


def path(config: CertomancerConfig, leaf: str) -> list[Certificate]:
    arch = config.get_pki_arch(ArchLabel("mo"))
    return [Certificate.load(arch.get_cert(CertLabel(name)).dump()) for name in (leaf, "sub2", "sub1", "root")]


def test_its_chain_passes_our_profile(config: CertomancerConfig) -> None:
    leaf, sub2, sub1, root = path(config, "contract")
    found = check_chain(leaf, [sub1, sub2], [root], role=Role.CONTRACT, profile=ISO2_STRICT, at=AT)
    assert len(found) == 4
    with pytest.raises(CertificateError, match="expired"):
        check_chain(
            leaf, [sub1, sub2], [root], role=Role.CONTRACT, profile=ISO2_STRICT, at=datetime(2027, 6, 1, tzinfo=UTC)
        )


async def test_its_answers_are_understood(config: CertomancerConfig, checker: RevocationChecker) -> None:
    await checker.require_good(path(config, "contract"), AT)
    with pytest.raises(Revoked, match="DE-OTH-C00000002"):
        await checker.require_good(path(config, "revoked"), AT)


async def test_its_answers_do_not_hold_at_another_time(config: CertomancerConfig, checker: RevocationChecker) -> None:
    leaf, issuer = path(config, "contract")[:2]
    for moment in (AT - timedelta(days=1), AT + timedelta(days=1)):
        assert await checker.status(leaf, issuer, moment) is Status.UNKNOWN
