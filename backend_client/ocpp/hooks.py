"""What a CSMS may ask of a station beyond its transactions; each is answered by whoever built the link, or refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What becomes of a request."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StationHooks:
    """None = this station does not do that.

    reset: kind "Immediate" or "OnIdle" (1.6: "Hard", "Soft"). unlock: connector number; True = unlocked.
    availability: connector number (None = the station), operative or not.
    make_csr: kind "ChargingStationCertificate" or "V2GCertificate"; returns the request as PEM; the key stays there.
    install: kind and chain as PEM, leaf first; already checked against the request. True = it is used from now on.
    """

    reset: Callable[[str], Awaitable[Outcome]] | None = None
    unlock: Callable[[int], Awaitable[bool]] | None = None
    availability: Callable[[int | None, bool], Awaitable[Outcome]] | None = None
    make_csr: Callable[[str], Awaitable[str]] | None = None
    install: Callable[[str, str], Awaitable[bool]] | None = None
