"""ClientHellos: those of OpenSSL, and broken ones."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.v2g.link.chains import made
from v2g.certificates import load
from v2g.client_hello import (
    AuthorityKind,
    ClientHello,
    ClientHelloError,
    ClientHelloStream,
    TrustedAuthority,
    parse_client_hello,
    trusted_ca_keys,
)


def openssl_hello(version=ssl.TLSVersion.TLSv1_2, name="secc.example") -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    context.set_ecdh_curve("prime256v1")
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def body(*extensions: tuple[int, bytes], ciphers=b"\xc0\x23") -> bytes:
    block = b"".join(k.to_bytes(2, "big") + len(c).to_bytes(2, "big") + c for k, c in extensions)
    return (
        b"\x03\x03" + bytes(32) + b"\0" + len(ciphers).to_bytes(2, "big") + ciphers + b"\x01\0"
        + (len(block).to_bytes(2, "big") + block if extensions else b"")
    )  # fmt: skip


def records(message: bytes, size: int = 2**14) -> bytes:
    octets = b"\x01" + len(message).to_bytes(3, "big") + message
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_a_hello_of_openssl():
    hello = ClientHelloStream().receive(openssl_hello())
    assert hello is not None
    assert hello.version == 0x0303
    assert 0xC023 in hello.ciphers  # ECDHE-ECDSA-AES128-SHA256
    assert hello.groups == (23,)  # secp256r1
    assert hello.versions == (0x0303,)
    assert 0x0403 in hello.signature_schemes  # ecdsa_secp256r1_sha256
    assert hello.server_name == "secc.example"
    assert hello.trusted_ca_keys is None
    assert not hello.wants_ocsp
    assert hello.trusts(b"any") is None


def test_tls_1_3_is_known_by_its_extension():
    hello = ClientHelloStream().receive(openssl_hello(ssl.TLSVersion.TLSv1_3))
    assert hello is not None
    assert hello.versions == (0x0304,)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_it_may_come_octet_by_octet_and_spread_over_records(size):
    message = body((3, trusted_ca_keys([b"root"])), (0, b"\0\4\0\0\1x"))
    stream = ClientHelloStream()
    octets = records(message, size)
    seen = [stream.receive(octets[at : at + 1]) for at in range(len(octets))]
    assert seen[:-1] == [None] * (len(octets) - 1)
    assert seen[-1] == parse_client_hello(message)


def test_roots_are_named_by_hash_name_or_key():
    roots = [load(made(letter)[0].public_bytes(Encoding.DER)) for letter in "AB"]
    one, other = (root.dump() for root in roots)
    point = made("A")[0].public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = hashlib.sha1(point)
    name = roots[0].subject.dump()
    by = {
        AuthorityKind.CERT_SHA1_HASH: trusted_ca_keys([one]),
        AuthorityKind.KEY_SHA1_HASH: b"\0\x15\1" + key.digest(),
        AuthorityKind.X509_NAME: (len(name) + 3).to_bytes(2, "big") + b"\2" + len(name).to_bytes(2, "big") + name,
    }
    for kind, extension in by.items():
        hello = parse_client_hello(body((3, extension)))
        assert hello.trusted_ca_keys is not None
        assert [authority.kind for authority in hello.trusted_ca_keys] == [kind]
        assert hello.trusts(one) is True
        assert hello.trusts(other) is False
    assert parse_client_hello(body((3, b"\0\1\0"))).trusted_ca_keys == (TrustedAuthority(0),)
    assert parse_client_hello(body((3, b"\0\1\0"))).trusts(one) is False
    assert parse_client_hello(body((3, b"\0\0"))).trusts(one) is None
    assert trusted_ca_keys([one, other])[:3] == b"\0\x2a\3"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x01\xfe\x80\x01\0\0\0\0", "no TLS handshake: record starts with 01fe800100"),
        (b"\x80\x2e\x01", "no TLS handshake"),
        (b"\x16\x02", "no TLS handshake"),
        (b"\x16\x03\x01\0\0", "TLS record of 0 octets"),
        (b"\x16\x03\x01\x40\x01", "TLS record of 16385 octets"),
        (b"\x16\x03\x01\0\4\2\0\0\0", "handshake message 2 instead of a ClientHello"),
        (b"\x16\x03\x01\0\4\1\xff\0\0", "ClientHello of 16711680 octets, limit is 65536"),
    ],
)
def test_other_octets_are_told_apart(octets, text):
    with pytest.raises(ClientHelloError, match=text) as caught:
        ClientHelloStream().receive(octets)
    assert caught.value.received == octets


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\x03", "version needs 2 octets, 1 are left"),
        (body()[:-1], "compression methods needs 1 octets, 0 are left"),
        (body(ciphers=b"\xc0"), "cipher suites has 1 octets, no multiple of 2"),
        (body((10, b"\0\3\0\x17\0")), "SUPPORTED_GROUPS has 3 octets"),
        (body((10, b"\0\2\0\x17\0")), "1 octets left over after SUPPORTED_GROUPS"),
        (body((3, b"\0\1\3")), "SHA-1 of a trusted authority needs 20 octets"),
        (body((3, b"\0\1\x07")), "trusted authority of kind 7"),
        (body((5, b""), (5, b"")), "extension 5 twice"),
        (body((5, b"")) + b"x", "1 octets left over after extensions"),
    ],
)
def test_broken_hellos_say_where(message, text):
    with pytest.raises(ClientHelloError, match=text):
        parse_client_hello(message)


def test_a_hello_without_extensions():
    assert parse_client_hello(body()) == ClientHello(0x0303, (0xC023,), (0x0303,), (), (), "", None, False, {})


MUTATIONS = (st.binary(max_size=80), st.integers(0, 400), st.integers(0, 3))


@given(*MUTATIONS)
def test_mutated_hellos_never_surprise(noise, at, how):
    mutate(noise, at, how)


@pytest.mark.fuzz
@given(*MUTATIONS)
@settings(max_examples=200_000)
def test_mutated_hellos_never_surprise_in_a_long_campaign(noise, at, how):
    mutate(noise, at, how)


def mutate(noise, at, how):
    octets = bytearray(HELLO)
    at %= len(octets)
    if how == 0:
        octets[at : at + len(noise)] = noise
    elif how == 1:
        del octets[at : at + len(noise)]
    elif how == 2:
        octets[at:at] = noise
    else:
        octets = bytearray(noise)
    with suppress(ClientHelloError):
        hello = ClientHelloStream().receive(bytes(octets))
        assert hello is None or isinstance(hello, ClientHello)


HELLO = openssl_hello()
