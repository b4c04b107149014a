"""OICP 2.3 services that a hub calls at a mobility operator: charge detail records and authorisation."""

from __future__ import annotations

from random import Random
from uuid import UUID

from starlette.routing import Route

from backend_client.oicp_messages import (
    AUTHORIZE_START_PATH,
    CDR_PATH,
    Acknowledgement,
    AuthorizationStart,
    AuthorizeStart,
    ChargeDetailRecord,
    Code,
    StatusCode,
)
from backends.operators.mo.cdrs import CdrConflict, CdrReceiver, CdrRefused
from backends.operators.mo.customers import Holder, Status, holder
from backends.operators.mo.received import UnreadableCdr, from_oicp, plain_operator
from backends.operators.mo.settings import MoSettings
from backends.operators.oicp_server import OicpCall, OicpProblem, OicpServer
from backends.store.database import Database
from ports.clock import Clock


class MoOicp:
    """One method per service."""

    def __init__(
        self, settings: MoSettings, database: Database, clock: Clock, random: Random, receiver: CdrReceiver
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._random = random
        self._receiver = receiver

    def routes(self, server: OicpServer) -> list[Route]:
        """All of them."""
        return [
            server.route(CDR_PATH, self._cdr, ChargeDetailRecord),
            server.route(AUTHORIZE_START_PATH, self._authorize, AuthorizeStart),
        ]

    async def _cdr(self, call: OicpCall[ChargeDetailRecord]) -> Acknowledgement:
        operator = plain_operator(call.path("operator"))
        if self._settings.hub_operators and operator not in map(plain_operator, self._settings.hub_operators):
            raise OicpProblem("300", f"{operator} is no partner of ours")
        try:
            await self._receiver.receive(from_oicp(call.body, operator))
        except (UnreadableCdr, CdrRefused, CdrConflict) as refused:
            raise OicpProblem("022", str(refused)) from None  # data error
        return Acknowledgement(
            result=True,
            status_code=StatusCode(code="000", description="Success"),
            session_id=call.body.session_id,
            cpo_partner_session_id=call.body.cpo_partner_session_id,
        )

    async def _authorize(self, call: OicpCall[AuthorizeStart]) -> AuthorizationStart:
        identification = call.body.identification
        owner = await self._database.read(lambda connection: holder(connection, identification.value))
        code = _code(owner, int(self._clock.now().timestamp()), is_card=bool(identification.rfid_mifare))
        allowed = code == "000"
        return AuthorizationStart(
            authorization_status="Authorized" if allowed else "NotAuthorized",
            status_code=StatusCode(code=code),
            session_id=call.body.session_id,
            provider_id=self._settings.party.id if allowed else None,
            cpo_partner_session_id=call.body.cpo_partner_session_id,
            emp_partner_session_id=str(UUID(int=self._random.getrandbits(128), version=4)) if allowed else None,
        )


def _code(owner: Holder | None, at: int, *, is_card: bool) -> Code:
    """OICP 2.3, CodeType: why not."""
    if owner is None:
        return "102" if is_card else "105"  # invalid UID, invalid EvcoID
    allowed = owner.allowed(at)
    if allowed == "ALLOWED":
        return "000"
    if owner.status is Status.REVOKED and not is_card:
        return "121"  # invalid certificate
    return "200" if allowed == "BLOCKED" else "210"  # EvcoID locked, no valid contract
