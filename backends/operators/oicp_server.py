"""The server side of OICP 2.3 services: who calls, strict bodies, acknowledgements, and faults on purpose."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import MessageError, decode
from backend_client.ocpi_types import encode
from backend_client.oicp_messages import Acknowledgement, Code, StatusCode
from backends.faults import BackendFaults, FaultKind, no_backend_fault
from backends.operators.request_body import BodyRefused, json_body
from backends.store.database import StoreError
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MAX_BODY = 256 * 1024  # ten signed values of 3000 characters and the rest


@dataclass(frozen=True, slots=True)
class OicpCall(Generic[T]):
    """A request of the partner `caller` ("" where nobody has to prove who it is). raw: the body as it came."""

    caller: str
    request: Request
    body: T
    raw: bytes

    def path(self, name: str) -> str:
        """A path parameter."""
        return str(self.request.path_params[name])


class OicpProblem(Exception):
    """Ends a request. code: OICP. http: 200 with a negative acknowledgement, unless the call itself is wrong."""

    def __init__(self, code: Code, text: str, http: int = 200) -> None:
        super().__init__(text)
        self.code = code
        self.http = http


Handler = Callable[[OicpCall[Any]], Awaitable[msgspec.Struct]]


class OicpServer:
    """Makes routes of services; all of them are POST."""

    def __init__(
        self,
        clock: Clock,
        *,
        source: str,
        certificates: Mapping[str, str] | None = None,
        tracer: Tracer = no_trace,
        faults: BackendFaults = no_backend_fault,
    ) -> None:
        """certificates: partner id by the SHA-256 of its TLS client certificate; None = nobody has to show one."""
        self._clock = clock
        self._source = source
        self._certificates = certificates
        self._tracer = tracer
        self._faults = faults

    def route(self, path: str, handler: Handler, body: type[Any]) -> Route:
        """One service. path: with its parameters in braces. body: msgspec type."""

        async def endpoint(request: Request) -> Response:
            response, caller = await self._answer(request, handler, body)
            data = {"path": request.url.path, "caller": caller, "status": response.status_code}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "oicp.request", self._source, data))
            return response

        return Route(path, endpoint, methods=["POST"])

    async def _answer(self, request: Request, handler: Handler, body: type[Any]) -> tuple[Response, str]:
        caller = ""
        try:
            caller = self._caller(request)
            raw = await json_body(request, MAX_BODY)
            call = OicpCall(caller, request, decode(raw, body, MAX_BODY), raw)
            return _json(await self._with_faults(handler, call)), caller
        except OicpProblem as problem:
            return _refused(problem.http, problem.code, str(problem)), caller
        except BodyRefused as refused:
            return _refused(refused.status, "022", str(refused)), caller
        except MessageError as error:
            return _refused(400, "022", str(error)), caller
        except StoreError:
            LOG.exception("POST %s", request.url.path)
            return _refused(503, "002", "the database is not available"), caller
        except ClientDisconnect:
            return Response(status_code=400), caller

    async def _with_faults(self, handler: Handler, call: OicpCall[Any]) -> msgspec.Struct:
        fault = self._faults()
        if fault.kind is FaultKind.ERROR:
            raise OicpProblem("021", "injected: error without effect", fault.status)
        if fault.kind is FaultKind.SLOW:
            await self._clock.sleep(fault.seconds)
        if fault.kind is FaultKind.DUPLICATE:
            await handler(call)
        answer = await handler(call)
        if fault.kind is FaultKind.LOST_ACK:
            raise OicpProblem("021", "injected: the answer was lost", 504)
        return answer

    def _caller(self, request: Request) -> str:
        if self._certificates is None:
            return ""
        chain = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or []
        der = ssl.PEM_cert_to_DER_cert(chain[0]) if chain else b""
        partner = self._certificates.get(hashlib.sha256(der).hexdigest())
        if partner is None:
            raise OicpProblem("017", "the TLS client certificate is missing or not known", 401)
        return partner


def _refused(http: int, code: Code, text: str) -> Response:
    status = StatusCode(code=code, description=text[:200], additional_info=text[:1000] if len(text) > 200 else None)
    return _json(Acknowledgement(result=False, status_code=status), http)


def _json(message: msgspec.Struct, http: int = 200) -> Response:
    return Response(encode(message), http, {"Cache-Control": "no-store"}, media_type="application/json")
