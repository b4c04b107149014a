"""What a charge point operator tells others about a finished transaction, and who takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from ports.backend import Ack


class Nature(StrEnum):
    """Which moment a signed value tells of (OCPI 2.2.1 mod_cdrs, signed_value_class)."""

    START = "Start"
    INTERMEDIATE = "Intermediate"
    END = "End"


@dataclass(frozen=True, slots=True)
class SignedValue:
    """ocmf: the record, byte for byte as signed."""

    nature: Nature
    ocmf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeDetail:
    """One finished transaction, ready to be billed. All figures come from its verified signed values.

    id: of this record at the CPO, the same in every delivery. transaction_id: of the station.
    id_type, user_id: OCMF IT and ID, e.g. "EMAID", "DEPLBC00000001". energy_kwh: end minus begin, exact.
    public_key: DER SubjectPublicKeyInfo in hex, as the CPO has registered it. values: begin first, end last.
    time_is_billable: the meter's time is synchronised or relative throughout (OCMF table 19).
    """

    id: str
    transaction_id: str
    station: str
    evse_id: str
    connector: int
    user_id: str
    id_type: str
    began: datetime
    ended: datetime
    energy_kwh: Decimal
    time_is_billable: bool
    meter: str
    public_key: str
    values: tuple[SignedValue, ...]
    stop_reason: str = ""


class ChargeDetailSink(Protocol):
    """Takes finished transactions: a mobility operator over OCPI, a roaming hub over OICP."""

    async def push(self, detail: ChargeDetail) -> Ack:
        """Hand over. Raises PeerError (refused for good) or RigError (try again: the same id is taken once)."""
