"""7 data bits with parity over an 8N1 line: the parity stands in bit 7, the levels on the wire are the same."""

from __future__ import annotations


def _table(parity: str) -> bytes:
    odd = parity == "O"
    return bytes(octet & 0x7F | (((octet & 0x7F).bit_count() + odd) & 1) << 7 for octet in range(256))


_WITH_PARITY = {"E": _table("E"), "O": _table("O")}
_CHECKED = {
    parity: bytes(octet & 0x7F if octet == table[octet] else 0 for octet in range(256))
    for parity, table in _WITH_PARITY.items()
}


def add_parity(octets: bytes, parity: str) -> bytes:
    """Octets (bit 7 ignored) as they go on an 8N1 line; parity "E" or "O"."""
    return octets.translate(_WITH_PARITY[parity])


def check_parity(octets: bytes, parity: str) -> tuple[bytes, int]:
    """Octets without their parity bit, 00 where it was wrong (as Linux does with INPCK), and how many were wrong."""
    table = _WITH_PARITY[parity]
    return octets.translate(_CHECKED[parity]), sum(octet != table[octet] for octet in octets)
