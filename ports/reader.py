"""Readers of identification media."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class CardKind(StrEnum):
    """OCMF names of what was read (table 17): ISO14443 has 4, 7 or 10 octets, ISO15693 has 8; else UNDEFINED."""

    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    UNDEFINED = "UNDEFINED"


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A card came to the reader. at: boot-time seconds. uid: as the card sends it."""

    at: float
    reader: str
    kind: CardKind
    uid: bytes

    @property
    def id(self) -> str:
        """As OCMF writes it: hexadecimal, capitals."""
        return self.uid.hex().upper()


class Reader(Protocol):
    """A reader at a connector, or at several."""

    @property
    def name(self) -> str:
        """Its resource in the rig file."""

    def cards(self) -> AsyncIterator[CardSeen]:
        """Every card from now on, once for each time that it comes; one consumer. Raises PeerError or RigError."""

    async def close(self) -> None:
        """Release the device; harmless when closed."""
