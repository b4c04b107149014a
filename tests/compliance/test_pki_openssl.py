"""OpenSSL judges our certificates, revocation lists, OCSP answers and enrolment; it also is the other OCSP responder.

Judge: the `openssl` command (Debian package openssl, 3.0): verify, ocsp, crl, req, pkcs7, s_client.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from backends.access import Principal, Role
from backends.http_server import serve_asgi
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.bad_variants import BAD_VARIANTS, LEAF, ROOT, SUB
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.crl import sign_crl
from backends.pki.est import Enrolment
from backends.pki.est_app import est_routes
from backends.pki.export import as_pem, export_plain
from backends.pki.ocsp_app import ocsp_routes
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.profiles import PRESETS, load_profile
from backends.pki.revocation import Status, ocsp_request, read_ocsp_response
from backends.store.database import Database
from tests.doubles import ManualClock

if shutil.which("openssl") is None:
    pytest.skip("openssl is not installed", allow_module_level=True)

SETS = [(preset, algorithm) for preset in PRESETS for algorithm in load_profile(preset).algorithms]
LEAFS = ("secc", "cps", "contract", "provisioning", "vehicle")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))  # OpenSSL asks the machine


@pytest.fixture
async def authorities(tmp_path: Path, clock: ManualClock) -> AsyncIterator[CertificateAuthorities]:
    (tmp_path / "passphrase").write_text("open sesame")
    (tmp_path / "passphrase").chmod(0o600)
    database = Database(f"sqlite:///{tmp_path / 'pki.db'}", clock)
    keys = FileKeys(tmp_path / "keys", Passphrase(tmp_path / "passphrase"))
    made = CertificateAuthorities(database, clock, keys, ocsp_url="http://localhost/ocsp")
    yield made
    await made.close()
    await database.close()


async def openssl(*words: object, stdin: bytes = b"", fails: bool = False) -> str:
    def run() -> subprocess.CompletedProcess[bytes]:
        command = ["openssl", *map(str, words)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)

    done = await asyncio.to_thread(run)
    output = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode != 0) == fails, output
    return output


class Files:
    """Certificates of one chain as OpenSSL wants them."""

    def __init__(self, folder: Path, one: Issued, root: Issued | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.leaf, self.subs, self.root = (folder / name for name in ("leaf.pem", "subs.pem", "root.pem"))
        self.leaf.write_bytes(as_pem([one.certificate]))
        self.subs.write_bytes(as_pem(one.sub_cas))
        self.root.write_bytes(as_pem([(root or one).root]))

    async def verify(self, *options: object, fails: bool = False) -> str:
        untrusted = ["-untrusted", self.subs] if self.subs.stat().st_size else []
        said = await openssl("verify", "-CAfile", self.root, *untrusted, *options, self.leaf, fails=fails)
        assert ("verification failed" in said) == fails, said
        return said


@pytest.mark.parametrize(("preset", "algorithm"), SETS)
async def test_every_chain_verifies_strictly(
    authorities: CertificateAuthorities, tmp_path: Path, preset: str, algorithm: str
) -> None:
    issued = await build_realm(authorities, "r", preset, algorithm=algorithm)
    # RFC 5280 wants an authority key identifier beside the subject's in every certificate: all have one but roots
    for kind in LEAFS:
        await Files(tmp_path / kind, issued[kind]).verify("-check_ss_sig")
        if preset != "hubject-qa":  # writes cA FALSE out, which is no DER
            await Files(tmp_path / kind, issued[kind]).verify("-x509_strict")
    text = await openssl("x509", "-in", tmp_path / "contract" / "leaf.pem", "-noout", "-text")
    assert "CA:FALSE" in text
    assert "Digital Signature, Non Repudiation, Key Encipherment, Key Agreement" in text


@pytest.mark.parametrize(("kind", "level"), [("contract", LEAF), ("mo-sub2", SUB), ("mo-root", ROOT)])
async def test_bad_variants_get_the_verdict_of_the_table(
    authorities: CertificateAuthorities, tmp_path: Path, kind: str, level: str
) -> None:
    good = (await build_realm(authorities, "r", "iso2-strict"))["mo-root"]
    below = load_profile("iso2-strict").line("contract")
    below = below[: below.index(kind)][::-1]
    for name, variant in BAD_VARIANTS.items():
        if level not in variant.levels:
            continue
        last = await authorities.issue(Order(realm="r", kind=kind, bad=name), actor="t")
        for after in below:
            last = await authorities.issue(Order(realm="r", kind=after), actor="t")
        files = Files(tmp_path / name, last, good if name == "self-signed" else None)
        await files.verify("-auth_level", "0", fails=level in variant.refused_by_all)


async def test_revocation_lists(authorities: CertificateAuthorities, tmp_path: Path) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict")
    leaf = issued["contract"]
    files = Files(tmp_path, leaf)

    async def lists() -> Path:
        text = ""
        for n, one in enumerate(leaf.chain[1:]):
            (tmp_path / f"{n}.crl").write_bytes(await sign_crl(authorities, one))
            text += await openssl("crl", "-inform", "DER", "-in", tmp_path / f"{n}.crl")
        (tmp_path / "lists.pem").write_text(text)
        return tmp_path / "lists.pem"

    await files.verify("-crl_check_all", "-CRLfile", await lists())
    await authorities.revoke(leaf.stored.fingerprint, "key_compromise", actor="t")
    said = await files.verify("-crl_check_all", "-CRLfile", await lists(), fails=True)
    assert "certificate revoked" in said
    assert "Key Compromise" in await openssl("crl", "-inform", "DER", "-in", tmp_path / "0.crl", "-noout", "-text")


@pytest.mark.parametrize(("preset", "algorithm"), [s for s in SETS if s[0] in ("iso2-strict", "iso20-strict")])
async def test_ocsp_answers(authorities: CertificateAuthorities, tmp_path: Path, preset: str, algorithm: str) -> None:
    issued = await build_realm(authorities, "r", preset, algorithm=algorithm)
    app = Starlette(routes=ocsp_routes(OcspResponder(authorities)))
    async with await serve_asgi(app) as server:

        async def ask(one: Issued, *options: str) -> str:
            folder = tmp_path / one.stored.kind
            files = Files(folder, one)
            (folder / "issuer.pem").write_bytes(as_pem([one.chain[1].x509]))
            trust = ["-CAfile", files.root, "-verify_other", folder / "issuer.pem"]
            words = ["-url", f"{server.url}/ocsp", "-issuer", folder / "issuer.pem", "-cert", files.leaf]
            said = await openssl("ocsp", *options, *words, *trust, "-no_proxy", "*", *_chain(folder, one))
            assert "Response verify OK" in said
            assert "WARNING" not in said
            return said

        for kind in ("secc", "contract", "mo-sub2", "cpo-sub1"):
            for options in (["-sha1", "-no_nonce"], ["-sha256", "-nonce"]):
                assert ": good" in await ask(issued[kind], *options)
        await authorities.revoke(issued["contract"].stored.fingerprint, "superseded", actor="t")
        said = await ask(issued["contract"])
        assert ": revoked" in said
        assert "Reason: superseded" in said


def _chain(folder: Path, one: Issued) -> list[object]:
    (folder / "above.pem").write_bytes(as_pem([stored.x509 for stored in one.chain[1:]]))
    return ["-CAfile", folder / "above.pem"]


async def test_openssl_as_the_other_responder(
    authorities: CertificateAuthorities, clock: ManualClock, tmp_path: Path
) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict")
    leaf, issuer = issued["contract"], issued["mo-sub2"]
    signer = await authorities.issue(Order(realm="r", kind="ocsp", issuer=issuer.stored.fingerprint), actor="t")
    export_plain({"signer": signer, "ca": issuer}, tmp_path, authorities.keys)
    (tmp_path / "request.der").write_bytes(ocsp_request(leaf.certificate, issuer.certificate))

    async def answer(line: str) -> bytes:
        (tmp_path / "index").write_text(line)
        words = ["-index", tmp_path / "index", "-CA", tmp_path / "ca.pem", "-ndays", "1"]
        words += ["-rsigner", tmp_path / "signer.pem", "-rkey", tmp_path / "signer.key"]
        await openssl("ocsp", *words, "-reqin", tmp_path / "request.der", "-respout", tmp_path / "response.der")
        return (tmp_path / "response.der").read_bytes()

    serial = leaf.stored.serial.upper()
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    for line, status in (
        (f"V\t400101000000Z\t\t{serial}\tunknown\t/CN=x\n", Status.GOOD),
        (f"R\t400101000000Z\t260101000000Z,keyCompromise\t{serial}\tunknown\t/CN=x\n", Status.REVOKED),
        ("", Status.UNKNOWN),
    ):
        clock.civil = datetime.now(UTC)
        verdict = await read_ocsp_response(await answer(line), leaf.certificate, issuer.certificate, clock.now())
        assert verdict.status is status


async def check_token(_token: str) -> Principal:
    return Principal("all", "", frozenset(Role), frozenset({"PLB"}), frozenset({"DEPLB"}))


CURVES = [
    (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "-sha256", "ISO15118-2", "iso2-strict", "secp256r1"),
    (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"], "-sha512", "ISO15118-20", "iso20-strict", "secp521r1"),
    (["-newkey", "ed448"], "", "ISO15118-20", "iso20-strict", "ed448"),
]


@pytest.mark.parametrize(("new_key", "digest", "version", "preset", "algorithm"), CURVES, ids=lambda v: str(v)[:12])
async def test_enrolment_of_requests_made_by_openssl(
    authorities: CertificateAuthorities,
    tmp_path: Path,
    new_key: list[str],
    digest: str,
    version: str,
    preset: str,
    algorithm: str,
) -> None:
    await build_realm(authorities, "r", preset, algorithm=algorithm)
    key, csr = tmp_path / "key.pem", tmp_path / "csr.pem"
    subject = "/O=Maker/CN=PLBVEHICLE0000009"
    words = ["req", "-new", *new_key, "-nodes", "-keyout", key, "-out", csr, "-subj", subject]
    await openssl(*words, *([digest] if digest else []))
    app = Starlette(routes=est_routes(Enrolment(authorities), check_token))
    headers = {"authorization": "Bearer x"}

    async def certificates(answer: httpx.Response, name: str) -> Path:
        assert answer.status_code == 200, answer.text
        text = b"-----BEGIN PKCS7-----\n" + answer.content + b"-----END PKCS7-----\n"
        (tmp_path / name).write_text(await openssl("pkcs7", "-print_certs", stdin=text))
        return tmp_path / name

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://est.test") as client:
        path = f"/.well-known/est/veh/simpleenroll/{version}"
        leaf = await certificates(await client.post(path, content=csr.read_bytes(), headers=headers), "leaf.pem")
        path = f"/veh/cacerts/{version}/{algorithm}/"
        above = await certificates(await client.get(path, headers=headers), "above.pem")
    await openssl("verify", "-x509_strict", "-CAfile", above, leaf)
    assert await openssl("x509", "-in", leaf, "-noout", "-pubkey") == await openssl("pkey", "-in", key, "-pubout")
    attributes = Enrolment(authorities).attributes(version)
    assert await openssl("asn1parse", "-inform", "DER", stdin=attributes)


async def test_s_client_renews_with_its_certificate(authorities: CertificateAuthorities, tmp_path: Path) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict")
    held = issued["secc"]
    server_leaf = await authorities.issue(Order(realm="r", kind="secc", common_name="DE*PLB*E0"), actor="t")
    export_plain({"server": server_leaf, "held": held, "root": issued["v2g-root"]}, tmp_path, authorities.keys)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.chain.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "root.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    subject = f"/O=Maker/CN={held.stored.common_name}"
    csr = await openssl("req", "-new", "-key", tmp_path / "held.key", "-subj", subject)
    app = Starlette(routes=est_routes(Enrolment(authorities), check_token))
    async with await serve_asgi(app, ssl=context) as server:
        request = (
            f"POST /.well-known/est/cpo/simplereenroll HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/pkcs10\r\nContent-Length: {len(csr)}\r\n\r\n{csr}"
        )
        words = ["-connect", f"{server.host}:{server.port}", "-CAfile", tmp_path / "root.pem", "-verify_return_error"]
        words += ["-cert", tmp_path / "held.pem", "-cert_chain", tmp_path / "held.chain.pem"]
        # an error of verification ends it before the request
        said = await openssl("s_client", *words, "-key", tmp_path / "held.key", "-quiet", stdin=request.encode())
    assert "verify error" not in said
    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:"))
    body = body[:length]
    text = await openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=base64.b64decode(body))
    (tmp_path / "renewed.pem").write_text(text)
    (tmp_path / "subs.pem").write_bytes(as_pem(held.sub_cas))
    await openssl(
        "verify", "-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "subs.pem", tmp_path / "renewed.pem"
    )
