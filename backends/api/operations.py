"""One operation of a facade: token, role, media type, JSON, then its handler; every error becomes an answer.

The order is that of the ecosystem: token (401), role (403), media type (415) and JSON (400), then what the handler and
the pool behind it check: form of identifiers (400), ownership (403), business rules (400, 404).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backends.access import RIGHTS, Forbidden, Principal, require_role
from backends.api import strict_json
from backends.api.errors import JSON, Texts, TooLarge, error_response
from backends.refusals import Refused
from backends.store.database import StoreError
from backends.store.ids import SYSTEM, draw_id
from backends.token.service import TokenRefused
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace

T = TypeVar("T")
LOG = logging.getLogger(__name__)
READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request that may be handled. body: decoded, None for operations without one. trace_id: of an error's body."""

    principal: Principal
    request: Request
    body: T
    trace_id: str = ""

    def path(self, name: str) -> str:
        """A path parameter."""
        return str(self.request.path_params[name])

    def flag(self, header: str, default: bool = False) -> bool:
        """A header that says true or false. Raises MalformedBody when it says something else."""
        value = self.request.headers.get(header, str(default)).strip().lower()
        if value not in ("true", "false"):
            raise strict_json.MalformedBody(f"header {header} must be true or false", value[:64])
        return value == "true"


Handler = Callable[[Call[Any]], Awaitable[Response]]
CheckToken = Callable[[str], Awaitable[Principal]]


class Api:
    """Makes routes of operations."""

    def __init__(
        self,
        check_token: CheckToken,
        texts: Texts,
        clock: Clock,
        *,
        tracer: Tracer = no_trace,
        after_write: Callable[[], None] = lambda: None,
        random: Random = SYSTEM,
    ) -> None:
        """check_token: who a bearer token speaks for. texts: of the facade. after_write: called after every change.

        random: of trace ids.
        """
        self._check_token = check_token
        self._texts = texts
        self._clock = clock
        self._tracer = tracer
        self._after_write = after_write
        self._random = random

    def route(self, method: str, path: str, right: str, handler: Handler, *, body: type[Any] | None = None) -> Route:
        """One operation.

        right: its name in `backends.access.RIGHTS`, path parameters in braces filled in ("est.enroll.{ca}"; 404 when
        there is no such right). body: msgspec type of the JSON body, None = no body is read.
        """

        async def endpoint(request: Request) -> Response:
            started = self._clock.monotonic()
            trace_id = draw_id(self._random)
            response, who = await self._answer(request, right, handler, body, trace_id)
            if request.method not in READING and response.status_code < 400:
                self._after_write()
            data = {
                "operation": right,
                "method": request.method,
                "client": who,
                "status": response.status_code,
                "seconds": round(self._clock.monotonic() - started, 6),
            }
            if response.status_code >= 400:
                data |= {"error": bytes(response.body).decode()[:2000]}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "pool.request", "pools", data))
            return response

        return Route(path, endpoint, methods=[method])

    async def _answer(
        self, request: Request, right: str, handler: Handler, body: type[Any] | None, trace_id: str
    ) -> tuple[Response, str]:
        who = ""
        try:
            principal = await self._principal(request)
            who = principal.client_id
            operation = right.format_map(request.path_params)
            if operation not in RIGHTS or any("\0" in str(value) for value in request.path_params.values()):
                return error_response(404, "Not found.", trace_id=trace_id), who
            require_role(principal, operation)
            decoded = None
            if body is not None:
                media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if media != JSON:
                    return error_response(415, f"The body must be {JSON}.", trace_id=trace_id), who
                decoded = strict_json.decode(await request.body(), body)
            return await handler(Call(principal, request, decoded, trace_id)), who
        except TokenRefused as refused:
            LOG.info("401, traceId %s: %s", trace_id, refused)  # the caller is not told why
            headers = {"WWW-Authenticate": "Bearer"}  # RFC 6750 section 3
            text = "The access token is missing or not valid."
            return error_response(401, text, trace_id=trace_id, headers=headers), who
        except Forbidden as refused:
            return error_response(403, str(refused), trace_id=trace_id), who
        except strict_json.MalformedBody as refused:
            return error_response(400, str(refused), trace_id=trace_id), who
        except Refused as refused:
            return self._texts.response(refused, trace_id), who
        except ClientDisconnect:
            return error_response(400, "The request is incomplete.", trace_id=trace_id), who
        except StoreError:
            LOG.exception("%s %s: traceId %s", request.method, request.url.path, trace_id)
            return error_response(503, "The database is not available.", trace_id=trace_id), who
        except TooLarge:
            raise
        except Exception:
            LOG.exception("%s %s: traceId %s", request.method, request.url.path, trace_id)
            return error_response(500, "Internal error.", trace_id=trace_id), who

    async def _principal(self, request: Request) -> Principal:
        """Raises TokenRefused."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("no bearer token")
        return await self._check_token(token.strip())
