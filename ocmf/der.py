"""ECDSA signatures and key prefixes in DER (X.690, RFC 3279, RFC 5480): written canonically, read leniently."""

from __future__ import annotations

from ocmf.curves import Curve

_SEQUENCE, _INTEGER, _BIT_STRING, _OID = 0x30, 0x02, 0x03, 0x06
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"  # RFC 5480 2.1.1


def encode(tag: int, content: bytes) -> bytes:
    """One element with a definite length of the shortest form."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(groups))
    return encode(_OID, bytes(content))


def encode_spki(curve: Curve, point: bytes) -> bytes:
    """SubjectPublicKeyInfo of an uncompressed point 04 X Y on a named curve."""
    algorithm = encode(_SEQUENCE, encode_oid(_EC_PUBLIC_KEY) + encode_oid(curve.oid))
    return encode(_SEQUENCE, algorithm + encode(_BIT_STRING, b"\x00" + point))


def encode_signature(r: int, s: int) -> bytes:
    """SEQUENCE of the two integers, without surplus zeros."""
    return encode(_SEQUENCE, _integer(r) + _integer(s))


def raw_to_der(raw: bytes) -> bytes:
    """The fixed width r || s of PKCS#11 as DER."""
    half = len(raw) // 2
    return encode_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def decode_signature(signature: bytes) -> tuple[int, int] | None:
    """r and s, tolerating surplus zeros, missing sign octets, long lengths and trailing octets; None if not DER."""
    content = _element(signature, 0, _SEQUENCE)
    if content is None:
        return None
    start, end = content
    first = _element(signature[:end], start, _INTEGER)
    second = _element(signature[:end], first[1], _INTEGER) if first else None
    if first is None or second is None:
        return None
    return (int.from_bytes(signature[slice(*first)], "big"), int.from_bytes(signature[slice(*second)], "big"))


def _integer(value: int) -> bytes:
    return encode(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _element(data: bytes, at: int, tag: int) -> tuple[int, int] | None:
    """Where the content of the element at `at` starts and ends; None when it is another or cut short."""
    if len(data) < at + 2 or data[at] != tag:
        return None
    size, start = data[at + 1], at + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4 or len(data) < start + octets:
            return None
        size, start = int.from_bytes(data[start : start + octets], "big"), start + octets
    return (start, start + size) if start + size <= len(data) and size else None
