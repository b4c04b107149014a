"""OCPI 2.2.1 modules of a charge point operator: CDRs to be fetched, commands to be carried out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import httpx
from starlette.routing import Route

from backend_client.ocpi_commands import report_outcome
from backend_client.ocpi_messages import (
    VERSION,
    Cdr,
    CommandAnswer,
    CommandOutcome,
    CommandResponse,
    DisplayText,
    StartSession,
    StopSession,
    Token,
)
from backend_client.ocpi_session import OcpiSession, Party
from backends.operators.ocpi_server import (
    INVALID,
    Module,
    OcpiCall,
    OcpiProblem,
    OcpiResult,
    OcpiServer,
    list_result,
    page_of,
)
from ports.clock import Clock
from ports.errors import PlugbenchError
from ports.station import RemoteAnswer
from ports.trace import TraceEvent, Tracer, no_trace

ROOT = f"/ocpi/{VERSION}"
MODULES = (Module("cdrs", "SENDER"), Module("commands", "RECEIVER"))
PAGE = 50
Work = Callable[[], Awaitable[RemoteAnswer | None]]
TIMEOUT_S = 60
LOG = logging.getLogger(__name__)


class RemoteSessions(Protocol):
    """The CPO's stations, as a mobility operator may use them."""

    async def start_session(self, location_id: str, evse_uid: str | None, token: Token) -> RemoteAnswer:
        """Begin a session for a token of the partner. Returns what the station said; never raises for a refusal."""

    async def stop_session(self, partner: Party, session_id: str) -> RemoteAnswer | None:
        """End a session of the partner; None when it has no such one."""


class CdrList(Protocol):
    """The CPO's finished transactions, for one partner."""

    async def cdrs(
        self, partner: Party, since: datetime | None, until: datetime | None, offset: int, limit: int
    ) -> tuple[Sequence[Cdr], int]:
        """By last_updated, since (inclusive) and until (exclusive); and how many there are in all."""


class CpoOcpi:
    """One method per operation. `close` waits for nothing that is still under way: the MO takes it as a time-out."""

    def __init__(
        self,
        cdrs: CdrList,
        remote: RemoteSessions,
        partners: Mapping[str, OcpiSession],
        clock: Clock,
        *,
        source: str = "cpo",
        tracer: Tracer = no_trace,
        timeout_s: int = TIMEOUT_S,
    ) -> None:
        """partners: sessions to mobility operators, by party id ("DEPLB"): results of commands go there, nowhere else.

        timeout_s: for a station to answer.
        """
        self._cdrs = cdrs
        self._remote = remote
        self._partners = partners
        self._clock = clock
        self._source = source
        self._tracer = tracer
        self._timeout_s = timeout_s
        self._running: set[asyncio.Task[None]] = set()

    def routes(self, server: OcpiServer) -> list[Route]:
        """All modules."""
        return [
            *server.routes(),
            server.route("GET", f"{ROOT}/cdrs", self._list),
            server.route("POST", f"{ROOT}/commands/START_SESSION", self._start, StartSession),
            server.route("POST", f"{ROOT}/commands/STOP_SESSION", self._stop, StopSession),
        ]

    async def close(self) -> None:
        """Give up commands under way; harmless when closed."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _list(self, call: OcpiCall[None]) -> OcpiResult:
        page = page_of(call, PAGE)
        found, total = await self._cdrs.cdrs(call.caller, page.since, page.until, page.offset, page.limit)
        return list_result(call, page, found, total, PAGE)

    async def _start(self, call: OcpiCall[StartSession]) -> OcpiResult:
        body = call.body
        if f"{body.token.country_code}{body.token.party_id}".upper() != call.caller.id:
            raise OcpiProblem(INVALID, "the token is another party's")
        if not body.token.valid:
            return _answer("REJECTED", 0, "the token is not valid")
        return self._carry_out(
            call.caller,
            body.response_url,
            lambda: self._remote.start_session(body.location_id, body.evse_uid, body.token),
        )

    async def _stop(self, call: OcpiCall[StopSession]) -> OcpiResult:
        body = call.body
        return self._carry_out(
            call.caller, body.response_url, lambda: self._remote.stop_session(call.caller, body.session_id)
        )

    def _carry_out(self, caller: Party, url: str, work: Work) -> OcpiResult:
        """Answer at once, do it, report to the MO that asked (13.1); never to another host."""
        session = self._partners.get(caller.id)
        if session is None or httpx.URL(url).host != httpx.URL(session.versions_url).host:
            raise OcpiProblem(INVALID, "response_url is not on the platform of the party that asks")
        task = asyncio.create_task(self._report(session, url, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return _answer("ACCEPTED", self._timeout_s)

    async def _report(self, session: OcpiSession, url: str, work: Work) -> None:
        outcome, text = await self._outcome(work)
        try:
            await report_outcome(session, url, outcome, text)
        except PlugbenchError as error:  # the MO has its own time-out for this
            about = {"url": url, "outcome": outcome, "why": str(error)}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "ocpi.lost_outcome", self._source, about))

    async def _outcome(self, work: Work) -> tuple[CommandOutcome, str]:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await work()
        except TimeoutError:
            return "TIMEOUT", "the station gave no answer"
        except PlugbenchError as error:
            return "FAILED", str(error)
        except Exception:  # the MO hears of it all the same
            LOG.exception("an OCPI command")
            return "FAILED", "internal error"
        if answer is None:
            return "REJECTED", "there is no such session"
        return ("ACCEPTED" if answer.accepted else "REJECTED"), answer.detail


def _answer(result: CommandAnswer, timeout_s: int, text: str = "") -> OcpiResult:
    message = [DisplayText(language="en", text=text)] if text else []
    return OcpiResult(CommandResponse(result=result, timeout=timeout_s, message=message))
