"""CDRs fetched from a CPO (OCPI pull, 10.1.2): what a push has missed, or all of them where nobody pushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from backend_client.ocpi_messages import Cdr
from backend_client.ocpi_session import OcpiSession
from backend_client.ocpi_types import utc
from backends.operators.mo.cdrs import CdrConflict, CdrReceiver, CdrRefused
from backends.operators.mo.received import UnreadableCdr, from_ocpi
from ports.backend import Ack


@dataclass(frozen=True, slots=True)
class Pulled:
    """How many were new and known; refused: why, by id ("" for one that is no CDR at all)."""

    stored: int = 0
    known: int = 0
    refused: dict[str, str] = field(default_factory=dict)


async def pull_cdrs(
    session: OcpiSession, operator: str, receiver: CdrReceiver, since: datetime, until: datetime
) -> Pulled:
    """Everything that `operator` ("DECPO") updated in this time. Raises RigError, PeerError when the list breaks off.

    Good ones are taken even where others cannot be read (OCPI 4.1.3).
    """
    stored, known, refused = 0, 0, {}
    url = await session.endpoint("cdrs", "SENDER")
    params = {"date_from": _text(since), "date_to": _text(until)}
    async for data in session.objects(url, dict, params):
        cdr_id = str(data.get("id", ""))[:39]
        try:
            cdr = from_ocpi(msgspec.convert(data, Cdr))
            if cdr.operator != operator:
                raise UnreadableCdr(f"a CDR of {cdr.operator} in the list of {operator}")
            ack = await receiver.receive(cdr)
        except (msgspec.ValidationError, UnreadableCdr, CdrRefused, CdrConflict) as error:
            refused[cdr_id] = str(error)
        else:
            stored, known = stored + (ack is Ack.STORED), known + (ack is Ack.DUPLICATE)
    return Pulled(stored, known, refused)


def _text(moment: datetime) -> str:
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")
