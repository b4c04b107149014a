"""Who may charge: a local list of cards and other identifications, and what OCMF says about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ocmf.payload import User
from ocmf.terms import IdType, Level
from ports.errors import LocalError, PeerError


class RefusedError(PeerError):
    """This identification may not charge here.

    level: what OCMF calls the reason. code: ResponseCode for a vehicle that pays by contract.
    """

    def __init__(self, message: str, level: Level, received: str = "", code: str = "FAILED") -> None:
        super().__init__(message, received)
        self.level = level
        self.code = code


@dataclass(frozen=True, slots=True)
class IdToken:
    """An identification as it was presented: a card's UID in hex, an EMAID, a key code."""

    id: str
    id_type: IdType = IdType.ISO14443

    @property
    def key(self) -> tuple[IdType, str]:
        """What is compared: hexadecimal and EMAID without separators, in upper case."""
        return self.id_type, re.sub("[\\s:*-]", "", self.id).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """A row of the local list.

    level: how far the assignment is trusted (OCMF table 11). flags: how it was read (tables 13 to 16).
    valid_from, valid_to: with zone; None = open. blocked: known and refused.
    """

    token: IdToken
    level: Level = Level.HEARSAY  # a UID that is only read proves nothing
    flags: tuple[str, ...] = ("RFID_PLAIN", "OCPP_WHITELIST")
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    blocked: bool = False


class LocalList:
    """The list; it is asked without any connection to a backend."""

    def __init__(self, entries: Iterable[ListEntry]) -> None:
        """Raises LocalError for an identification that stands twice."""
        self._entries: dict[tuple[IdType, str], ListEntry] = {}
        for entry in entries:
            if entry.token.key in self._entries:
                raise LocalError(f"{entry.token.id_type} {entry.token.id} stands twice in the local list")
            self._entries[entry.token.key] = entry

    def check(self, token: IdToken, at: datetime) -> User:
        """The user as the records will name him. Raises RefusedError: unknown, blocked, not yet or no longer valid."""
        entry = self._entries.get(token.key)
        if entry is None:
            raise RefusedError(f"{token.id_type} {token.id} is not in the local list", Level.UNKNOWN, token.id)
        if entry.blocked:
            raise RefusedError(f"{token.id_type} {token.id} is blocked", Level.INVALID, token.id)
        if (entry.valid_from and at < entry.valid_from) or (entry.valid_to and at >= entry.valid_to):
            raise RefusedError(
                f"{token.id_type} {token.id} is valid from {entry.valid_from} to {entry.valid_to}, not at {at}",
                Level.OUTDATED,
                token.id,
            )
        return User(assigned=True, level=entry.level, flags=entry.flags, id_type=entry.token.id_type, id=token.key[1])
