"""OICP 2.3 services of a hub: authorisation and charge detail records of operators, records for providers."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from uuid import UUID

import sqlalchemy as sa
from starlette.routing import Route

from backend_client.cpo_messages import decode
from backend_client.ocpi_types import utc
from backend_client.oicp_cdrs import DUPLICATE
from backend_client.oicp_messages import (
    AUTHORIZE_START_PATH,
    CDR_PATH,
    GET_CDRS_PATH,
    Acknowledgement,
    AuthorizationStart,
    AuthorizeStart,
    ChargeDetailRecord,
    GetChargeDetailRecords,
    Page,
    StatusCode,
)
from backends.operators.hub.forwarding import Forwarder, HubCdr, State, cdr_of_row
from backends.operators.hub.routing import Router, not_authorised, plain, provider_of
from backends.operators.hub.settings import HubOperator, HubSettings
from backends.operators.hub.tables import CDRS, SESSIONS
from backends.operators.oicp_server import OicpCall, OicpProblem, OicpServer
from backends.store.database import Database
from ports.clock import Clock

MOST = 100  # records of a page


class HubServices:
    """One method per service."""

    def __init__(
        self,
        settings: HubSettings,
        database: Database,
        clock: Clock,
        random: Random,
        router: Router,
        forwarder: Forwarder,
    ) -> None:
        self._operators: Mapping[str, HubOperator] = {plain(one.id): one for one in settings.operators}
        self._providers = {plain(one.id) for one in settings.providers}
        self._proven = settings.certificates
        self._database = database
        self._clock = clock
        self._random = random
        self._router = router
        self._forwarder = forwarder

    def routes(self, server: OicpServer) -> list[Route]:
        """All of them."""
        return [
            server.route(AUTHORIZE_START_PATH, self._authorize, AuthorizeStart),
            server.route(CDR_PATH, self._cdr, ChargeDetailRecord),
            server.route(GET_CDRS_PATH, self._get_cdrs, GetChargeDetailRecords),
        ]

    async def _authorize(self, call: OicpCall[AuthorizeStart]) -> AuthorizationStart:
        operator = self._operator(call.path("operator"), call.caller)
        request = call.body
        if plain(request.operator_id) != operator:
            raise OicpProblem("017", "the path names another operator than the body", 400)
        session_id = str(UUID(int=self._random.getrandbits(128), version=4))
        request.session_id = session_id
        provider, answer = await self._router.authorise(operator, request)
        if not provider:
            return not_authorised(answer.status_code.code, answer.status_code.description or "")
        row = {
            "id": session_id,
            "operator": operator,
            "provider": provider,
            "identification": request.identification.value,
            "evse_id": request.evse_id or "",
            "made": int(self._clock.now().timestamp()),
        }
        await self._database.write(lambda connection: connection.execute(SESSIONS.insert().values(row)))
        return AuthorizationStart(
            authorization_status="Authorized",
            status_code=StatusCode(code="000"),
            session_id=session_id,
            provider_id=provider,
            cpo_partner_session_id=request.cpo_partner_session_id,
            emp_partner_session_id=answer.emp_partner_session_id,
        )

    async def _cdr(self, call: OicpCall[ChargeDetailRecord]) -> Acknowledgement:
        """One record for a session: kept before it goes on, the provider's refusal goes back to the operator."""
        operator = self._operator(call.path("operator"), call.caller)
        record = call.body
        _check_order(record)
        now = int(self._clock.now().timestamp())

        def work(connection: sa.Connection) -> HubCdr | None:
            mine = CDRS.c.session_id == record.session_id
            known = connection.execute(sa.select(CDRS).where(mine)).one_or_none()
            if known is not None and (known.operator != operator or known.body != call.raw):
                if known.operator != operator or known.state != State.REJECTED:
                    raise OicpProblem("400", "there is another charge detail record for this session")
            elif known is not None and known.state != State.REJECTED:
                return None  # here already: nothing is sent twice
            provider = self._provider(connection, operator, record)
            row: dict[str, object] = {"operator": operator, "provider": provider, "body": call.raw, "said": ""}
            # the runner leaves it to us for a minute
            row |= {"state": State.WAITING, "attempts": 0, "due": now + 60, "received": now}
            if known is None:
                connection.execute(CDRS.insert().values(session_id=record.session_id, **row))
            else:
                connection.execute(CDRS.update().where(mine).values(row))
            return HubCdr(record.session_id, operator, provider, call.raw)

        cdr = await self._database.write(work)
        if cdr is None:
            return _accepted(record, DUPLICATE)
        done = await self._forwarder.forward(cdr)
        if done.state is State.REJECTED:
            raise OicpProblem("022", done.said)
        return _accepted(record, "" if done.state is State.FORWARDED else "kept; the provider cannot be reached")

    async def _get_cdrs(self, call: OicpCall[GetChargeDetailRecords]) -> Page:
        """What came for a provider: forwarded or not, as it came."""
        provider, wanted = plain(call.path("provider")), call.body
        if provider not in self._providers or (self._proven and call.caller != provider):
            raise OicpProblem("017", "another provider's records", 403)
        if plain(wanted.provider_id) != provider:
            raise OicpProblem("017", "the path names another provider than the body", 400)
        where = (CDRS.c.provider == provider) & (CDRS.c.received >= int(utc(wanted.from_).timestamp()))
        where &= CDRS.c.received <= int(utc(wanted.to).timestamp())
        if wanted.session_ids:
            where &= CDRS.c.session_id.in_(wanted.session_ids[:MOST])
        if wanted.operator_ids:
            where &= CDRS.c.operator.in_([plain(one) for one in wanted.operator_ids[:MOST]])
        if wanted.cdr_forwarded is not None:
            where &= (CDRS.c.state == State.FORWARDED) == wanted.cdr_forwarded
        number, size = (_number(call, name, default) for name, default in (("page", 0), ("size", MOST)))
        size = min(size or 1, MOST)
        query = sa.select(CDRS).where(where).order_by(CDRS.c.received, CDRS.c.session_id)

        def work(connection: sa.Connection) -> tuple[list[HubCdr], int]:
            total = connection.execute(sa.select(sa.func.count()).select_from(CDRS).where(where)).scalar_one()
            rows = connection.execute(query.offset(number * size).limit(size))
            return [cdr_of_row(row) for row in rows], total

        found, total = await self._database.read(work)
        pages = -(-total // size)
        return Page(
            content=[decode(one.body, ChargeDetailRecord) for one in found],
            number=number,
            size=size,
            total_elements=total,
            total_pages=pages,
            first=number == 0,
            last=number + 1 >= pages,
            number_of_elements=len(found),
            status_code=StatusCode(code="000"),
        )

    def _operator(self, text: str, caller: str) -> str:
        operator = plain(text)
        if operator not in self._operators or (self._proven and caller != operator):
            raise OicpProblem("017", f"operator {operator[:8]} is not who calls, or not known", 401)
        return operator

    def _provider(self, connection: sa.Connection, operator: str, record: ChargeDetailRecord) -> str:
        """Of the session that the hub made; of the contract for one that was authorised without the hub."""
        mine = SESSIONS.c.id == record.session_id
        session = connection.execute(sa.select(SESSIONS).where(mine)).one_or_none()
        if session is not None and session.operator != operator:
            raise OicpProblem("400", "the session belongs to another operator")
        provider = session.provider if session is not None else provider_of(record.identification)
        if not provider:
            raise OicpProblem("400", "the session is not known, and a card does not tell its provider")
        if provider not in self._router.providers_of(operator):
            raise OicpProblem("300", f"no contract with provider {provider}")
        return str(provider)


def _check_order(record: ChargeDetailRecord) -> None:
    """OICP 2.3, SignedMeteringValues: Start, Progress ..., End."""
    order = [("Start", "Progress", "End").index(one.metering_status) for one in record.signed_metering_values]
    if order != sorted(order) or order.count(0) > 1 or order.count(2) > 1:
        words = ", ".join(one.metering_status for one in record.signed_metering_values)
        raise OicpProblem("022", f"signed metering values are in the order {words}")


def _accepted(record: ChargeDetailRecord, said: str) -> Acknowledgement:
    return Acknowledgement(
        result=True,
        status_code=StatusCode(code="000", description="Success", additional_info=said or None),
        session_id=record.session_id,
        cpo_partner_session_id=record.cpo_partner_session_id,
    )


def _number(call: OicpCall[GetChargeDetailRecords], name: str, default: int) -> int:
    text = call.request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise OicpProblem("022", f"{name} {text[:20]!r} is no number", 400)
    return int(text)
