"""The ClientHello of a TLS handshake: what a vehicle can do, and which V2G roots it knows (RFC 5246 7.4.1.2, RFC 8446).

stream = ClientHelloStream()
hello = stream.receive(octets)      # None until it is whole
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from ports.errors import PeerError
from v2g.certificates import load

HELLO_LIMIT = 64 * 1024
"""Octets of a ClientHello that are accepted; real ones have some hundred."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RECORD_LIMIT = 2**14  # RFC 5246 6.2.1


class ExtensionType(IntEnum):
    """The extensions that are looked into (IANA, TLS ExtensionType Values)."""

    SERVER_NAME = 0
    TRUSTED_CA_KEYS = 3
    STATUS_REQUEST = 5
    SUPPORTED_GROUPS = 10
    SIGNATURE_ALGORITHMS = 13
    STATUS_REQUEST_V2 = 17
    SUPPORTED_VERSIONS = 43


class AuthorityKind(IntEnum):
    """How a vehicle names a root it trusts (RFC 6066 section 6)."""

    PRE_AGREED = 0
    KEY_SHA1_HASH = 1
    X509_NAME = 2
    CERT_SHA1_HASH = 3


class ClientHelloError(PeerError):
    """Octets that are no ClientHello; they are in `received`."""


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """One root of trusted_ca_keys. identifier: SHA-1 of key or certificate, or a DER name; empty for PRE_AGREED."""

    kind: int
    identifier: bytes = b""

    def names(self, certificate: bytes) -> bool:
        """Whether this is the root with that DER encoding (key hashes: of subjectPublicKey, RFC 6066)."""
        if self.kind == AuthorityKind.CERT_SHA1_HASH:
            return self.identifier == hashlib.sha1(certificate, usedforsecurity=False).digest()
        if self.kind == AuthorityKind.KEY_SHA1_HASH:
            return bool(self.identifier == load(certificate).public_key.sha1)
        if self.kind == AuthorityKind.X509_NAME:
            return self.identifier == bytes(load(certificate).subject.dump())
        return False


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What the vehicle says first.

    version: legacy_version; `versions` is what it really offers. ciphers, groups, signature_schemes: IANA numbers.
    trusted_ca_keys: None when the extension is missing. extensions: type to octets, in the vehicle's order.
    """

    version: int
    ciphers: tuple[int, ...]
    versions: tuple[int, ...]
    groups: tuple[int, ...]
    signature_schemes: tuple[int, ...]
    server_name: str
    trusted_ca_keys: tuple[TrustedAuthority, ...] | None
    wants_ocsp: bool
    extensions: dict[int, bytes]

    def trusts(self, root: bytes) -> bool | None:
        """Whether the vehicle names this root (DER); None when it names none at all."""
        if not self.trusted_ca_keys:
            return None
        return any(authority.names(root) for authority in self.trusted_ca_keys)


class ClientHelloStream:
    """Octets of a new TLS connection in, its ClientHello out; it may be spread over records and segments."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, octets: bytes) -> ClientHello | None:
        """Add what came; the hello once it is whole. Raises ClientHelloError."""
        self._buffer += octets
        body = bytearray()
        for fragment in self._fragments():
            body += fragment
        if len(body) < 4:
            return None
        if body[0] != _CLIENT_HELLO:
            raise self._error(f"handshake message {body[0]} instead of a ClientHello")
        length = int.from_bytes(body[1:4], "big")
        if length > HELLO_LIMIT:
            raise self._error(f"ClientHello of {length} octets, limit is {HELLO_LIMIT}")
        return parse_client_hello(bytes(body[4 : 4 + length])) if len(body) >= 4 + length else None

    def _fragments(self) -> Iterator[bytes]:
        """Contents of the whole records, and what has come of the last one."""
        start = 0
        while len(self._buffer) >= start + 5:
            kind, major = self._buffer[start], self._buffer[start + 1]
            length = int.from_bytes(self._buffer[start + 3 : start + 5], "big")
            if kind != _HANDSHAKE or major != 3:
                raise self._error(f"no TLS handshake: record starts with {self._buffer[start : start + 5].hex()}")
            if not 0 < length <= _RECORD_LIMIT:
                raise self._error(f"TLS record of {length} octets")
            yield bytes(self._buffer[start + 5 : start + 5 + length])
            start += 5 + length
        rest = bytes(self._buffer[start:])
        if rest and (rest[0] != _HANDSHAKE or rest[1:2] not in (b"", b"\3")):
            raise self._error(f"no TLS handshake: record starts with {rest.hex()}")

    def _error(self, text: str) -> ClientHelloError:
        return ClientHelloError(text, bytes(self._buffer[:64]))


class _Reader:
    """Vectors of the TLS presentation language."""

    def __init__(self, octets: bytes, whole: bytes) -> None:
        self.octets = octets
        self.whole = whole
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.octets) - self.at

    def take(self, count: int, what: str) -> bytes:
        if self.left < count:
            raise ClientHelloError(f"ClientHello: {what} needs {count} octets, {self.left} are left", self.whole)
        self.at += count
        return self.octets[self.at - count : self.at]

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def vector(self, size: int, what: str) -> _Reader:
        """A vector whose length has `size` octets."""
        return _Reader(self.take(self.number(size, f"length of {what}"), what), self.whole)

    def numbers(self, size: int, what: str) -> tuple[int, ...]:
        """All that is left, as numbers of `size` octets."""
        if self.left % size:
            raise ClientHelloError(f"ClientHello: {what} has {self.left} octets, no multiple of {size}", self.whole)
        return tuple(self.number(size, what) for _ in range(self.left // size))

    def end(self, what: str) -> None:
        if self.left:
            raise ClientHelloError(f"ClientHello: {self.left} octets left over after {what}", self.whole)


def parse_client_hello(body: bytes) -> ClientHello:
    """Read the body of a ClientHello (without its handshake header). Raises ClientHelloError."""
    reader = _Reader(body, body)
    version = reader.number(2, "version")
    reader.take(32, "random")
    reader.vector(1, "session id")
    ciphers = reader.vector(2, "cipher suites").numbers(2, "cipher suites")
    reader.vector(1, "compression methods")
    extensions: dict[int, bytes] = {}
    if reader.left:
        block = reader.vector(2, "extensions")
        while block.left:
            kind = block.number(2, "extension type")
            content = block.vector(2, f"extension {kind}").octets
            if kind in extensions:
                raise ClientHelloError(f"ClientHello: extension {kind} twice", body)
            extensions[kind] = content
    reader.end("extensions")

    def extension(kind: ExtensionType) -> _Reader | None:
        return _Reader(extensions[kind], body) if kind in extensions else None

    def listed(kind: ExtensionType, length_size: int = 2) -> tuple[int, ...]:
        found = extension(kind)
        if found is None:
            return ()
        numbers = found.vector(length_size, kind.name).numbers(2, kind.name)
        found.end(kind.name)
        return numbers

    authorities = extension(ExtensionType.TRUSTED_CA_KEYS)
    return ClientHello(
        version,
        ciphers,
        listed(ExtensionType.SUPPORTED_VERSIONS, 1) or (version,),
        listed(ExtensionType.SUPPORTED_GROUPS),
        listed(ExtensionType.SIGNATURE_ALGORITHMS),
        _server_name(extension(ExtensionType.SERVER_NAME)),
        None if authorities is None else tuple(_authorities(authorities)),
        ExtensionType.STATUS_REQUEST in extensions or ExtensionType.STATUS_REQUEST_V2 in extensions,
        extensions,
    )


def trusted_ca_keys(roots: Iterable[bytes]) -> bytes:
    """Content of the extension that names these roots (DER) by SHA-1 (RFC 6066 section 6, ISO 15118-2 [V2G2-651])."""
    kind = bytes((AuthorityKind.CERT_SHA1_HASH,))
    content = b"".join(kind + hashlib.sha1(root, usedforsecurity=False).digest() for root in roots)
    return len(content).to_bytes(2, "big") + content


def _server_name(reader: _Reader | None) -> str:
    if reader is None:
        return ""
    names = reader.vector(2, "server names")
    while names.left:
        kind = names.number(1, "kind of server name")
        name = names.vector(2, "server name").octets
        if kind == 0:  # RFC 6066 section 3: host_name
            return name.decode("ascii", "backslashreplace")
    return ""


def _authorities(reader: _Reader) -> Iterator[TrustedAuthority]:
    listed = reader.vector(2, "trusted_ca_keys")
    reader.end("trusted_ca_keys")
    while listed.left:
        kind = listed.number(1, "kind of trusted authority")
        if kind == AuthorityKind.PRE_AGREED:
            yield TrustedAuthority(kind)
        elif kind in (AuthorityKind.KEY_SHA1_HASH, AuthorityKind.CERT_SHA1_HASH):
            yield TrustedAuthority(kind, listed.take(20, "SHA-1 of a trusted authority"))
        elif kind == AuthorityKind.X509_NAME:
            yield TrustedAuthority(kind, listed.vector(2, "name of a trusted authority").octets)
        else:
            raise ClientHelloError(f"ClientHello: trusted authority of kind {kind}", reader.whole)
