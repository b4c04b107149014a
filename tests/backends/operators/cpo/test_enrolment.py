from __future__ import annotations

import json
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect

from backends.operators.cpo.certs_only import certificates_of
from backends.operators.cpo.enrolment import STATION
from backends.operators.cpo.settings import CpoSettings, Listener, SecurityProfile, with_password
from backends.operators.cpo.station_ca import StationCa
from backends.pki.certs_only import certs_only
from hil_rigs.real_clock import RealClock
from hil_rigs.virtual_clock import VirtualClock
from ports.errors import PeerError, RigError
from tests.backends.chains import tree
from tests.backends.operators.cpo.parts import PASSWORD, Cpo, Wire, running_cpo, station, virtual
from tests.tls import tls_files
from v2g.certificates import load


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


async def signed(wire: Wire, answer: str = "Accepted") -> str:
    """The chain that comes with CertificateSigned."""
    call = json.loads(await wire.socket.recv())
    assert call[2] == "CertificateSigned"
    await wire.socket.send(json.dumps([3, call[1], {"status": answer}]))
    chain: str = call[3]["certificateChain"]
    return chain


async def test_a_station_moves_up_to_profile_3(tmp_path: Path) -> None:
    """With TLS and a password it asks for a certificate, comes back with it, and is not let in without any more."""
    clock = RealClock()  # OpenSSL judges validity by the machine's clock
    certificate, key_file = tls_files(tmp_path)
    authority = StationCa.from_files(certificate, key_file, clock)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    server.load_cert_chain(certificate, key_file)
    server.verify_mode = ssl.CERT_OPTIONAL
    settings = CpoSettings(
        stations=[with_password("CP1", PASSWORD, profile=SecurityProfile.TLS_BASIC)], listeners=[Listener(ssl=server)]
    )
    trust = ssl.create_default_context(cafile=certificate)
    async with running_cpo(tmp_path, clock, settings, enrollers={STATION: authority}) as cpo:
        key = ec.generate_private_key(ec.SECP256R1())
        async with station(cpo.running, ssl=trust) as wire:
            assert (await wire.ask("SignCertificate", {"csr": request(key, "CP1")}))[2] == {"status": "Accepted"}
            chain = await signed(wire)
        (tmp_path / "station.pem").write_bytes(chain.encode() + pem_of(key))
        proving = ssl.create_default_context(cafile=certificate)
        proving.load_cert_chain(tmp_path / "station.pem")
        async with station(cpo.running, headers={}, ssl=proving) as wire:
            assert (await wire.ask("Heartbeat", {}))[0] == 3
        with pytest.raises(Exception, match="401"):
            await connect(f"{cpo.running.url}CP1", subprotocols=["ocpp1.6"], ssl=trust, proxy=None)  # type: ignore[list-item]


def own_ca(folder: Path, clock: VirtualClock) -> StationCa:
    return StationCa.from_files(*tls_files(folder), clock)


async def told(cpo: Cpo, clock: VirtualClock) -> str:
    await clock.sleep(60)
    return str(cpo.traced("csms.enrolled")[-1]["why"])


@virtual
async def test_what_goes_wrong_is_told(tmp_path: Path, clock: VirtualClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    async with running_cpo(tmp_path, clock, enrollers={STATION: own_ca(tmp_path, clock)}) as cpo:
        async with station(cpo.running) as wire:
            assert (await wire.ask("SignCertificate", {"csr": request(key, "CP9")}))[2] == {"status": "Accepted"}
            assert await told(cpo, clock) == "CP1 asks for a certificate of 'CP9'"
            await wire.ask("SignCertificate", {"csr": request(key, "CP1")})
            chain = await signed(wire, "Rejected")
            assert await told(cpo, clock) == "the station says Rejected"
            leaf = x509.load_pem_x509_certificate(chain.encode())
            assert leaf.not_valid_after_utc - clock.now() > timedelta(days=364)
            await wire.ask("SignCertificate", {"csr": request(key, "CP1")})
            assert "did not answer" in await told(cpo, clock)
            await wire.socket.recv()  # the call that was not answered
            for use, why in ((STATION, "neither DER"), ("V2GCertificate", "nobody here issues")):
                said = (await wire.ask("SignCertificate", {"csr": "%", "certificateType": use}))[2]
                assert said["status"] == "Rejected"
                assert why in said["statusInfo"]["additionalInfo"]


def test_files_that_are_no_ca(tmp_path: Path) -> None:
    certificate, key_file = tls_files(tmp_path)
    other = tmp_path / "other.key"
    other.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
    for files in ((certificate, other), (key_file, key_file), (certificate, tmp_path / "missing")):
        with pytest.raises(RigError):
            StationCa.from_files(*files, RealClock())


def test_certificates_of_est_keep_their_order() -> None:
    chain = [load(one.der) for one in (tree().sub_2, tree().sub_1, tree().root)]
    assert [one.dump() for one in certificates_of(certs_only(chain))] == [one.dump() for one in chain]


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"0\x0b\x06\t*\x86H\x86\xf7\r\x01\x07\x02", b"no PKCS#7"])
def test_what_is_no_answer_of_est(octets: bytes) -> None:
    with pytest.raises(PeerError):
        certificates_of(octets)
