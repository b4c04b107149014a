"""What mobility operators may do at this CPO over OCPI: start and stop sessions, fetch their CDRs.

`backends.operators.ocpi_cpo.CpoOcpi` is the protocol around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from backend_client.ocpi_cdrs import OcpiSite, cdr_of
from backend_client.ocpi_messages import AuthorizationInfo, Cdr, CdrToken, Token
from backend_client.ocpi_session import Party
from backends.operators.cpo.csms import Csms
from backends.operators.cpo.frames import Version
from backends.operators.cpo.outbox import REFUSED, detail_of
from backends.operators.cpo.remote import RemoteControl
from backends.operators.cpo.roaming_sessions import RoamingSessions
from backends.operators.cpo.schema import CHARGE_DETAILS, OUTBOX
from backends.store.database import Database
from ports.station import RemoteAnswer
from v2g.identifiers import EMAID, same

# OCPI 2.2.1 12.4.3 TokenType -> OCMF 1.4.1 table 17; OTHER is what contracts travel as
_ID_TYPES = {"RFID": "ISO14443", "APP_USER": "CENTRAL", "AD_HOC_USER": "CENTRAL"}
InfoOf = Callable[[str], AuthorizationInfo | None]


class OcpiDesk:
    """`RemoteSessions` and `CdrList` of a running CPO."""

    def __init__(
        self,
        csms: Csms,
        remote: RemoteControl,
        sessions: RoamingSessions,
        database: Database,
        operator: Party,
        site: OcpiSite,
        sinks: Mapping[str, str],
        info_of: InfoOf = lambda _uid: None,
    ) -> None:
        """sessions: who may stop what. operator: the CPO.

        sinks: party id of an MO -> name of its sink: it sees the CDRs that went there.

        info_of: see `backend_client.ocpi_cdrs.OcpiCdrs`.
        """
        self._csms = csms
        self._remote = remote
        self._sessions = sessions
        self._database = database
        self._operator = operator
        self._site = site
        self._sinks = sinks
        self._info_of = info_of

    async def start_session(self, location_id: str, evse_uid: str | None, token: Token) -> RemoteAnswer:
        """At the EVSE, or at the first station here that is connected. Raises RigError: not connected, silent."""
        if location_id != self._site.location_id:
            return RemoteAnswer(accepted=False, detail=f"there is no location {location_id[:36]!r}")
        found = self._evse(evse_uid)
        if found is None:
            return RemoteAnswer(accepted=False, detail=f"there is no EVSE {evse_uid!r} that could be asked")
        station, evse = found
        link = self._csms.links.get(station)
        start_id = None if link is None or link.version is Version.V16 else self._remote.new_start_id()
        partner = f"{token.country_code}{token.party_id}".upper()
        number = await self._sessions.expect(station, start_id, partner, _cdr_token(token))
        answer = RemoteAnswer(accepted=False)
        try:
            answer = await self._remote.start(station, token.uid, _id_type(token), evse=evse, remote_start_id=start_id)
        finally:
            if not answer.accepted:
                await self._sessions.forget(number)
        return answer

    async def stop_session(self, partner: Party, session_id: str) -> RemoteAnswer | None:
        """End the partner's running transaction of this id, if there is exactly one. Raises RigError."""
        station = await self._sessions.running(partner.id, session_id)
        return None if station is None else await self._remote.stop(station, session_id)

    async def cdrs(
        self, partner: Party, since: datetime | None, until: datetime | None, offset: int, limit: int
    ) -> tuple[Sequence[Cdr], int]:
        """What was made for the partner and not refused, oldest first, and how many there are. Raises StoreError."""
        wanted = [OUTBOX.c.sink == self._sinks.get(partner.id, ""), OUTBOX.c.state != REFUSED]
        if since is not None:
            wanted.append(CHARGE_DETAILS.c.made >= _text(since))
        if until is not None:
            wanted.append(CHARGE_DETAILS.c.made < _text(until))
        joined = sa.select(CHARGE_DETAILS).join(OUTBOX, OUTBOX.c.detail_id == CHARGE_DETAILS.c.id).where(*wanted)
        page = joined.order_by(CHARGE_DETAILS.c.seq).offset(offset).limit(limit)

        def work(connection: sa.Connection) -> tuple[Sequence[sa.Row[Any]], int]:
            total = connection.execute(sa.select(sa.func.count()).select_from(joined.subquery())).scalar_one()
            return connection.execute(page).all(), int(total)

        rows, total = await self._database.read(work)
        return [self._cdr(row) for row in rows], total

    def _cdr(self, row: sa.Row[Any]) -> Cdr:
        detail = detail_of(row.body)
        made = datetime.fromisoformat(row.made)
        return cdr_of(detail, self._operator, self._site, made, self._info_of(detail.user_id))

    def _evse(self, uid: str | None) -> tuple[str, int | None] | None:
        """Station and number; without a uid any EVSE of a connected station."""
        if uid is None:
            station = next(iter(self._csms.links), None)
            return None if station is None else (station, None)
        for account in self._csms.settings.stations:
            for number, evse_id in enumerate(account.evse_ids, start=1):
                if same(evse_id, uid):
                    return account.identity, number
        return None


def _cdr_token(token: Token) -> CdrToken:
    return CdrToken(
        country_code=token.country_code,
        party_id=token.party_id,
        uid=token.uid,
        type=token.type,
        contract_id=token.contract_id,
    )


def _id_type(token: Token) -> str:
    return _ID_TYPES.get(token.type) or ("EMAID" if EMAID.fullmatch(token.uid) else "CENTRAL")


def _text(moment: datetime) -> str:
    """As `made` is kept."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
