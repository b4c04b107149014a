"""The server side of an OCPI 2.2.1 platform: tokens of its partners, versions, envelopes, and faults on purpose."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import MessageError, decode
from backend_client.credential import Credential
from backend_client.ocpi_messages import VERSION, Endpoint, Envelope, InterfaceRole, Version, VersionDetails
from backend_client.ocpi_session import Party
from backend_client.ocpi_types import encode, utc
from backends.faults import BackendFaults, FaultKind, no_backend_fault
from backends.operators.request_body import BodyRefused, json_body
from backends.store.database import StoreError
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MAX_BODY = 4 << 20  # a CDR with a day of signed values, one a minute
JSON = "application/json"

# Status codes, chapter 5
SUCCESS = 1000
INVALID = 2001
NOT_ENOUGH = 2002
UNKNOWN_TOKEN = 2004
CLIENT_ERROR = 2000
SERVER_ERROR = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class OcpiPartner:
    """Another platform. party: who it is. incoming: the token that it shows; outgoing: the one that we show.

    versions_url: of its versions endpoint, "" = it is never called.
    """

    party: Party
    incoming: Credential
    outgoing: Credential
    versions_url: str = ""


@dataclass(frozen=True, slots=True)
class OcpiCall(Generic[T]):
    """A request of a partner. body: decoded, None for operations without one."""

    caller: Party
    request: Request
    body: T

    def path(self, name: str) -> str:
        """A path parameter."""
        return str(self.request.path_params[name])


@dataclass(frozen=True, slots=True)
class OcpiResult:
    """What goes into the envelope. http: 201 for something new."""

    data: object = None
    http: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class OcpiProblem(Exception):
    """Ends a request. status: OCPI. http: 200 for everything that reached the OCPI layer (5.1)."""

    def __init__(self, status: int, text: str, http: int = 200) -> None:
        super().__init__(text)
        self.status = status
        self.http = http


Handler = Callable[[OcpiCall[Any]], Awaitable[OcpiResult]]


@dataclass(frozen=True, slots=True)
class Module:
    """A module that this platform has, under /ocpi/2.2.1/."""

    identifier: str
    role: InterfaceRole


class OcpiServer:
    """Makes routes of operations."""

    def __init__(
        self,
        partners: Sequence[OcpiPartner],
        modules: Sequence[Module],
        clock: Clock,
        *,
        source: str,
        tracer: Tracer = no_trace,
        faults: BackendFaults = no_backend_fault,
    ) -> None:
        """source: name of the actor in traces. Raises RigError when a partner's token cannot be read."""
        self._parties = {_digest(one.incoming.read()): one.party for one in partners}
        self._modules = modules
        self._clock = clock
        self._source = source
        self._tracer = tracer
        self._faults = faults

    def routes(self) -> list[Route]:
        """Versions and version details."""
        return [
            self.route("GET", "/ocpi/versions", self._versions),
            self.route("GET", f"/ocpi/{VERSION}", self._details),
        ]

    def route(self, method: str, path: str, handler: Handler, body: type[Any] | None = None) -> Route:
        """One operation. body: msgspec type of the JSON body, None = no body is read."""

        async def endpoint(request: Request) -> Response:
            response, caller = await self._answer(request, handler, body)
            data = {"method": method, "path": request.url.path, "party": caller, "status": response.status_code}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "ocpi.request", self._source, data))
            return response

        return Route(path, endpoint, methods=[method])

    async def _answer(self, request: Request, handler: Handler, body: type[Any] | None) -> tuple[Response, str]:
        caller = ""
        try:
            party = self._caller(request)
            caller = party.id
            decoded = None if body is None else decode(await json_body(request, MAX_BODY), body, MAX_BODY)
            result = await self._with_faults(handler, OcpiCall(party, request, decoded))
            return self._envelope(result.http, SUCCESS, result.data, headers=result.headers), caller
        except OcpiProblem as problem:
            return self._envelope(problem.http, problem.status, text=str(problem)), caller
        except BodyRefused as refused:
            return self._envelope(refused.status, CLIENT_ERROR, text=str(refused)), caller
        except MessageError as error:
            # not JSON is 400; JSON that is no such object has reached the OCPI layer (5.1)
            http = 200 if isinstance(error.__cause__, msgspec.ValidationError) else 400
            return self._envelope(http, INVALID, text=str(error)), caller
        except StoreError:
            LOG.exception("%s %s", request.method, request.url.path)
            return self._envelope(503, SERVER_ERROR, text="the database is not available"), caller
        except ClientDisconnect:
            return Response(status_code=400), caller

    async def _with_faults(self, handler: Handler, call: OcpiCall[Any]) -> OcpiResult:
        if call.request.method == "GET":
            return await handler(call)
        fault = self._faults()
        if fault.kind is FaultKind.ERROR:
            raise OcpiProblem(SERVER_ERROR, "injected: error without effect", fault.status)
        if fault.kind is FaultKind.SLOW:
            await self._clock.sleep(fault.seconds)
        if fault.kind is FaultKind.DUPLICATE:
            await handler(call)
        result = await handler(call)
        if fault.kind is FaultKind.LOST_ACK:
            raise OcpiProblem(SERVER_ERROR, "injected: the answer was lost", 504)
        return result

    def _caller(self, request: Request) -> Party:
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        try:
            token = base64.b64decode(credential.strip(), validate=True) if scheme.lower() == "token" else b""
        except (binascii.Error, ValueError):
            token = b""
        # looked up by digest: no comparison that takes longer for a better guess
        party = self._parties.get(hashlib.sha256(token).hexdigest())
        if party is None:
            raise OcpiProblem(CLIENT_ERROR, "the credentials token is missing or not known", 401)
        return party

    async def _versions(self, call: OcpiCall[None]) -> OcpiResult:
        return OcpiResult([Version(version=VERSION, url=f"{base_url(call.request)}/ocpi/{VERSION}")])

    async def _details(self, call: OcpiCall[None]) -> OcpiResult:
        base = f"{base_url(call.request)}/ocpi/{VERSION}"
        endpoints = [
            Endpoint(identifier=one.identifier, role=one.role, url=f"{base}/{one.identifier}") for one in self._modules
        ]
        return OcpiResult(VersionDetails(version=VERSION, endpoints=endpoints))

    def _envelope(
        self, http: int, status: int, data: object = None, text: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        envelope = Envelope(
            status_code=status,
            timestamp=utc(self._clock.now()),
            data=data,
            status_message=text[:255] if text else None,
        )
        return Response(encode(envelope), http, {**(headers or {}), "Cache-Control": "no-store"}, media_type=JSON)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted (4.1.3). since is inclusive, until exclusive."""

    since: datetime | None
    until: datetime | None
    offset: int
    limit: int


def page_of(call: OcpiCall[None], most: int) -> PageRequest:
    """most: objects of a page. Raises OcpiProblem."""
    query = call.request.query_params
    return PageRequest(
        since=_time(query["date_from"]) if "date_from" in query else None,
        until=_time(query["date_to"]) if "date_to" in query else None,
        offset=_number(query.get("offset", "0")),
        limit=min(most, _number(query.get("limit", str(most))) or 1),
    )


def list_result(call: OcpiCall[None], page: PageRequest, found: Sequence[object], total: int, most: int) -> OcpiResult:
    """A page of a list, with the link to the next one (4.1.3)."""
    headers = {"X-Total-Count": str(total), "X-Limit": str(most)}
    if found and page.offset + len(found) < total:
        query = urlencode({**call.request.query_params, "offset": page.offset + len(found), "limit": page.limit})
        headers["Link"] = f'<{base_url(call.request)}{call.request.url.path}?{query}>; rel="next"'
    return OcpiResult(list(found), headers=headers)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise OcpiProblem(INVALID, f"{text[:20]!r} is no number")
    return int(text)


def _time(text: str) -> datetime:
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise OcpiProblem(INVALID, f"{text[:40]!r} is no time") from None


def base_url(request: Request) -> str:
    """How the caller reached this server, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
