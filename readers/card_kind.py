"""What kind of card a UID may be of."""

from __future__ import annotations

from ports.errors import LocalError
from ports.reader import CardKind

UID_OCTETS = {CardKind.ISO14443: (4, 7, 10), CardKind.ISO15693: (8,)}  # OCMF 1.4.1 table 17


def check_uid(uid: bytes, kind: CardKind) -> None:
    """Raise LocalError when no card of this kind has such a UID."""
    if len(uid) not in UID_OCTETS[kind]:
        lengths = " or ".join(map(str, UID_OCTETS[kind]))
        raise LocalError(f"a UID of {kind} has {lengths} octets, not {len(uid)}")
