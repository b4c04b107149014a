"""What a PC/SC reader says about a contactless card: its ATR, and the answer to "get UID" (PC/SC part 3)."""

from __future__ import annotations

from ports.errors import PeerError
from ports.reader import CardKind

GET_UID = bytes.fromhex("FFCA000000")  # PC/SC part 3, 3.2.2.1.3 Get Data, P1 P2 = 00 00, Le = 00
_OK = b"\x90\x00"
_STORAGE_CARD = bytes.fromhex("804F0CA000000306")  # category, application id, length, RID of the PC/SC workgroup
# PC/SC part 3, supplement, table 2: SS, the standard of a storage card
_ISO14443 = range(0x01, 0x08)  # A parts 1 to 3, B parts 1 to 3
_ISO15693 = range(0x09, 0x0D)  # parts 1 to 4
_BY_LENGTH = {4: CardKind.ISO14443, 7: CardKind.ISO14443, 10: CardKind.ISO14443, 8: CardKind.ISO15693}


def uid_of(answer: bytes) -> bytes:
    """The UID in a card's answer to `GET_UID`. Raises PeerError."""
    if answer[-2:] != _OK:
        status = answer[-2:].hex().upper() or "nothing"
        raise PeerError(f"the card tells no UID (answer {status}): is it a contactless one?", answer)
    if not 4 <= len(answer) - 2 <= 10:
        raise PeerError(f"a UID has 4 to 10 octets, not {len(answer) - 2}: {answer.hex().upper()}", answer)
    return answer[:-2]


def kind_of(atr: bytes, uid: bytes) -> CardKind:
    """What card it is: a storage card says so in its ATR, others by the length of their UID."""
    at = atr.find(_STORAGE_CARD)
    standard = atr[at + len(_STORAGE_CARD)] if 0 <= at < len(atr) - len(_STORAGE_CARD) else 0
    if standard in _ISO15693:
        return CardKind.ISO15693 if len(uid) == 8 else CardKind.UNDEFINED
    if standard in _ISO14443:
        return CardKind.ISO14443 if len(uid) in (4, 7, 10) else CardKind.UNDEFINED
    return _BY_LENGTH.get(len(uid), CardKind.UNDEFINED) if not standard else CardKind.UNDEFINED
