"""TLS between our two ends: what is agreed, which chain is shown, and what is refused."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ports.errors import RigError
from tests.v2g.link.chains import write_chain
from tests.v2g.link.doubles import START
from v2g.client_hello import ClientHelloError
from v2g.link import tls_platform
from v2g.link.tls_channel import TlsChannel, TlsError
from v2g.link.tls_settings import (
    CIPHER,
    Chain,
    StationContexts,
    StationTls,
    VehicleTls,
    read_certificates,
    validity_problem,
    vehicle_context,
)

needs_extensions = pytest.mark.skipif(
    bool(tls_platform.why_not_reached()), reason=f"OpenSSL beyond ssl: {tls_platform.why_not_reached()}"
)


@pytest.fixture
def a(tmp_path):
    return write_chain(tmp_path, "A")


@pytest.fixture
def b(tmp_path):
    return write_chain(tmp_path, "B")


class Pair:
    """Two channels and what was chosen."""

    def __init__(self, station: StationTls, vehicle: VehicleTls, context=None, take_staple=None):
        self.why = ""
        self.contexts = StationContexts(station)
        self.station = TlsChannel(self.choose)
        self.vehicle = TlsChannel(context or vehicle_context(vehicle, take_staple=take_staple))

    def choose(self, hello):
        context, self.why = self.contexts.choose(hello, START)
        return context

    def shake(self, size=10**6):
        """The handshake, octets in pieces."""
        self.vehicle.start()
        for _ in range(4):
            for source, target in ((self.vehicle, self.station), (self.station, self.vehicle)):
                octets = source.outgoing()
                for at in range(0, len(octets), size):
                    assert target.receive(octets[at : at + size]) == b""
        return self


@pytest.mark.parametrize("size", [1, 3, 10**6])
def test_both_ends_agree_whatever_the_pieces(a, size):
    pair = Pair(StationTls((a,)), VehicleTls((a.root,))).shake(size)
    for end in (pair.station, pair.vehicle):
        assert (end.peer.version, end.peer.cipher) == ("TLSv1.2", CIPHER)
    shown = read_certificates(a.certificates)
    assert pair.vehicle.peer.certificates == tuple(one.dump() for one in shown)
    assert pair.station.peer.certificates == ()
    message = bytes(range(256)) * 100
    pair.vehicle.send(message)
    records = pair.vehicle.outgoing()
    assert message[:64] not in records
    assert b"".join(pair.station.receive(records[at : at + 999]) for at in range(0, len(records), 999)) == message
    pair.station.close()
    assert pair.vehicle.receive(pair.station.outgoing()) == b""
    assert pair.vehicle.peer_closed


@needs_extensions
def test_the_chain_is_picked_by_the_root_that_the_vehicle_names(a, b):
    pair = Pair(StationTls((a, b)), VehicleTls((b.root,))).shake()
    assert pair.why == "CN=SECC B: the vehicle names its root"
    assert pair.station.client_hello.trusts(b.root.read_bytes()) is True
    assert pair.station.client_hello.trusts(a.root.read_bytes()) is False


@needs_extensions
def test_a_vehicle_that_names_another_root_than_it_trusts_fails(a, b):
    pair = Pair(StationTls((a, b)), VehicleTls((a.root,), named_roots=(b.root,)))
    with pytest.raises(TlsError, match=r"certificate verify failed.*we sent the alert unknown_ca") as caught:
        pair.shake()
    assert caught.value.alert == "unknown_ca"
    with pytest.raises(TlsError, match="alert unknown ca"):
        pair.station.receive(pair.vehicle.outgoing())


def test_without_names_the_first_chain_is_shown(a, b):
    pair = Pair(StationTls((a, b)), VehicleTls((a.root,), named_roots=())).shake()
    assert pair.why == "CN=SECC A: default: the vehicle names no root"


@needs_extensions
def test_names_that_are_none_of_ours(tmp_path, a):
    c = write_chain(tmp_path, "C")
    pair = Pair(StationTls((a,)), VehicleTls((a.root,), named_roots=(c.root,))).shake()
    assert pair.why == "CN=SECC A: default: the vehicle names 1 roots, none is ours"


def test_expired_chains_are_not_shown_while_another_is_valid(tmp_path, a):
    old = write_chain(tmp_path, "O", begin=-9, end=-1)
    pair = Pair(StationTls((old, a)), VehicleTls((a.root,))).shake()
    assert pair.why.startswith("CN=SECC A")
    contexts = StationContexts(StationTls((old,)))
    assert contexts.problem(START).startswith("CN=SECC O expired ")
    assert contexts.problem(START - timedelta(days=5)) == ""
    assert "is not valid before" in contexts.problem(START - timedelta(days=20))


def test_an_expired_leaf_is_refused_by_the_vehicle(tmp_path):
    old = write_chain(tmp_path, "O", begin=-9, end=-1)
    with pytest.raises(TlsError, match=r"certificate has expired.*certificate_expired"):
        Pair(StationTls((old,)), VehicleTls((old.root,))).shake()
    context = vehicle_context(VehicleTls((old.root,)), ignore_time=True)
    pair = Pair(StationTls((old,)), VehicleTls((old.root,)), context).shake()
    assert "expired" in validity_problem(read_certificates(old.certificates), START)
    assert pair.vehicle.peer is not None


@needs_extensions
def test_a_staple_arrives(tmp_path):
    chain = write_chain(tmp_path, "S", staple="GOOD")
    got = []
    Pair(StationTls((chain,)), VehicleTls((chain.root,)), take_staple=got.append).shake()
    assert got == [chain.staple.read_bytes()]


@needs_extensions
def test_a_missing_staple_is_seen(a):
    got = []
    pair = Pair(StationTls((a,)), VehicleTls((a.root,)), take_staple=got.append).shake()
    assert got == [b""]
    assert pair.station.client_hello.wants_ocsp


def offers(ciphers="ALL:@SECLEVEL=0", curve=None, version=ssl.TLSVersion.TLSv1_2):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    if curve:
        context.set_ecdh_curve(curve)
    return context


@pytest.mark.parametrize(
    ("context", "alert"),
    [
        (offers("ECDHE-ECDSA-AES256-GCM-SHA384"), "handshake_failure"),
        (offers("AES128-SHA256"), "handshake_failure"),
        (offers(CIPHER, "secp521r1"), "handshake_failure"),
        (offers(version=ssl.TLSVersion.TLSv1_3), "protocol_version"),
    ],
    ids=["AES256", "RSA", "P-521", "TLS 1.3"],
)
def test_what_is_outside_the_profile_is_refused_with_an_alert(a, context, alert):
    pair = Pair(StationTls((a,)), VehicleTls((a.root,)), context)
    with pytest.raises(TlsError) as caught:
        pair.shake()
    assert caught.value.alert == alert
    assert pair.station.outgoing()[-7] == 21


def test_octets_that_are_no_tls(a):
    pair = Pair(StationTls((a,)), VehicleTls((a.root,)))
    with pytest.raises(ClientHelloError):
        pair.station.receive(bytes.fromhex("01fe800100000000"))


def test_a_broken_record_is_told(a):
    pair = Pair(StationTls((a,)), VehicleTls((a.root,))).shake()
    pair.vehicle.send(b"x" * 40)
    octets = bytearray(pair.vehicle.outgoing())
    octets[-1] ^= 1
    with pytest.raises(TlsError, match="bad record mac"):
        pair.station.receive(bytes(octets))


def test_tls_1_3_is_mutual(tmp_path):
    chain = write_chain(tmp_path, "S", curve=ec.SECP521R1)
    car = write_chain(tmp_path, "V", curve=ec.SECP521R1)
    station = StationTls((chain,), tls13=True, vehicle_roots=(car.root,))
    pair = Pair(station, VehicleTls((chain.root,), chain=car, tls13=True)).shake()
    assert pair.vehicle.peer.version == pair.station.peer.version == "TLSv1.3"
    assert pair.station.peer.certificates[0] == read_certificates(car.certificates)[0].dump()
    with pytest.raises(TlsError, match="peer did not return a certificate"):
        Pair(station, VehicleTls((chain.root,), tls13=True)).shake()
    with pytest.raises(RigError, match="is mutual"):
        StationContexts(StationTls((chain,), tls13=True))


def test_a_station_with_tls_1_3_still_serves_tls_1_2(tmp_path, a):
    pair = Pair(StationTls((a,), tls13=True, vehicle_roots=(a.root,)), VehicleTls((a.root,))).shake()
    assert pair.vehicle.peer.version == "TLSv1.2"


def test_keys_go_into_the_log_which_only_its_owner_reads(tmp_path, a):
    log = tmp_path / "keys.log"
    Pair(StationTls((a,), key_log=log), VehicleTls((a.root,))).shake()
    assert log.read_text().splitlines()[-1].startswith("CLIENT_RANDOM ")
    assert log.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RigError, match=r"missing/keys\.log: the TLS key log cannot be written"):
        StationContexts(StationTls((a,), key_log=tmp_path / "missing" / "keys.log"))


def test_a_key_with_a_password(tmp_path):
    chain = write_chain(tmp_path, "P", password="12345")
    Pair(StationTls((chain,)), VehicleTls((chain.root,))).shake()
    assert "12345" not in repr(chain)
    with pytest.raises(RigError, match=r"P\.key"):
        StationContexts(StationTls((Chain(chain.certificates, chain.key),)))


def test_unusable_files_are_named(tmp_path, a, b):
    cases = {
        "the key does not belong to the first certificate": Chain(a.certificates, b.key),
        "missing.pem: No such file": Chain(tmp_path / "missing.pem", a.key),
        "missing.key: no such file": Chain(a.certificates, tmp_path / "missing.key"),
        "holds no certificate": Chain(a.key, a.key),
        "missing.ocsp: no such OCSP response": Chain(a.certificates, a.key, staple=tmp_path / "missing.ocsp"),
    }
    for text, chain in cases.items():
        with pytest.raises(RigError, match=text):
            StationContexts(StationTls((chain,)))
    with pytest.raises(RigError, match="needs a certificate chain"):
        StationContexts(StationTls(()))
    with pytest.raises(RigError, match="needs the V2G roots it trusts"):
        vehicle_context(VehicleTls(()))


def test_anybody_is_trusted_only_when_asked_for(a):
    Pair(StationTls((a,)), VehicleTls((), trust_any=True)).shake()


@pytest.mark.skipif(tls_platform.token_key_provider() is not None, reason="pkcs11-provider is installed")
def test_a_key_in_a_token_says_what_it_needs(tmp_path, a):
    key = tmp_path / "token.pem"
    key.write_text("-----BEGIN PKCS#11 PROVIDER URI-----\nMAA=\n-----END PKCS#11 PROVIDER URI-----\n")
    with pytest.raises(RigError, match=r"token\.pem: the key is in a token: install pkcs11-provider"):
        StationContexts(StationTls((Chain(a.certificates, key),)))


def test_missing_features_are_said(monkeypatch, a):
    names = {feature.name: feature.missing for feature in tls_platform.features()}
    assert "OpenSSL removed it" in names["static ECDH"]
    assert names["trusted_ca_keys read from the vehicle's ClientHello"] == ""

    def gone(_name):
        raise tls_platform.LibraryMissingError("Python's ssl module is not linked to a shared libssl")

    monkeypatch.setattr(tls_platform, "_mapped", gone)
    tls_platform._library.cache_clear()
    try:
        names = {feature.name: feature.missing for feature in tls_platform.features()}
        assert "not linked to a shared libssl" in names["trusted_ca_keys sent by our vehicle"]
        pair = Pair(StationTls((a,)), VehicleTls((a.root,))).shake()
        assert pair.station.client_hello.trusted_ca_keys is None
    finally:
        tls_platform._library.cache_clear()
