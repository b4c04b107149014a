"""What the handlers of all versions share: the desks of one CPO and the stations that are connected."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backends.operators.cpo.authorisation import AuthorisationDesk
from backends.operators.cpo.certificate_status import StatusDesk
from backends.operators.cpo.contract_requests import ContractDesk
from backends.operators.cpo.enrolment import EnrolmentDesk
from backends.operators.cpo.frames import ErrorCode, FrameError
from backends.operators.cpo.link import StationLink
from backends.operators.cpo.settings import CpoSettings, StationAccount
from backends.operators.cpo.station_access import StationAccess
from backends.operators.cpo.stations import StationBook
from backends.operators.cpo.transactions import Transactions
from ports.clock import Clock


@dataclass(slots=True)
class Csms:
    """links: of connected stations, by identity. tasks: work that outlives the call that asked for it."""

    settings: CpoSettings
    clock: Clock
    access: StationAccess
    stations: StationBook
    transactions: Transactions
    authorisation: AuthorisationDesk
    contracts: ContractDesk
    certificate_status: StatusDesk
    enrolment: EnrolmentDesk
    links: dict[str, StationLink] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def account(self, station: str) -> StationAccount:
        """Of a station."""
        return self.access.account(station)

    def now(self) -> str:
        """Civil time as OCPP writes it: RFC 3339, UTC, milliseconds."""
        return timestamp(self.clock.now())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer; it is cancelled at shutdown."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def moment(text: str) -> str:
    """A station's date-time (RFC 3339), written as `timestamp` does; without a zone it is UTC. Raises FrameError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise FrameError(ErrorCode.PROPERTY, f"{text[:40]!r} is no date-time of RFC 3339") from None
    try:
        return timestamp(found if found.tzinfo else found.replace(tzinfo=UTC))
    except OverflowError:
        raise FrameError(ErrorCode.PROPERTY, f"{text[:40]!r} is out of the calendar") from None


def timestamp(moment: datetime) -> str:
    """As OCPP writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
