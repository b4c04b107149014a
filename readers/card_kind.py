"""What kind of card a UID may be of."""

from __future__ import annotations

from ports.errors import LocalError
from ports.reader import CardKind

UID_OCTETS = {
    CardKind.ISO14443: (4, 7, 10),  # OCMF 1.4.1 table 17
    CardKind.ISO15693: (8,),
    CardKind.UNDEFINED: tuple(range(1, 21)),  # 125 kHz tags have 5; OCMF: ID has at most 40 characters
}


def check_uid(uid: bytes, kind: CardKind) -> None:
    """Raise LocalError when no card of this kind has such a UID."""
    if len(uid) not in UID_OCTETS[kind]:
        raise LocalError(f"a UID of {kind} has {expected(kind)} octets, not {len(uid)}")


def expected(kind: CardKind) -> str:
    """Lengths of UIDs, for messages."""
    lengths = UID_OCTETS[kind]
    return f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 3 else " or ".join(map(str, lengths))
